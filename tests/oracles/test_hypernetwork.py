"""Hypernetworks against chrhenning/hypercl @e325678: whole trainings of generators and embeddings."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.parts import lookahead
from cl.strategies.hypernetwork import Hypernetwork
from tests.help.oracles import Oracle, half, identity, losses_of, names, replay, rows


class Net(nn.Module):
    """Flattened images, relu(fc1), relu(fc2)."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__()
        self.num_features = second
        self.fc1, self.fc2 = nn.Linear(3 * 8 * 8, first), nn.Linear(first, second)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.fc2(torch.relu(self.fc1(x.flatten(1)))))


def theta(method: Hypernetwork) -> dict[str, Tensor]:
    """Parameters of the generator by their names in the files."""
    own = method.generator
    assert isinstance(own.hidden, nn.ModuleList)
    layers = [*own.hidden, own.output]
    parts = {f"{part}{n}": getattr(layer, part) for n, layer in enumerate(layers) for part in ("weight", "bias")}
    return {"chunks": own.chunks, **parts}


def planned(group: dict[str, Any], moments: dict[str, Tensor], gradient: Tensor) -> Tensor:
    """The step of Adam that the code has copied from an early PyTorch, which adds eps before it corrects the root."""
    (beta1, beta2), step = group["betas"], float(moments["step"]) + 1 if moments else 1
    first = beta1 * moments.get("exp_avg", torch.zeros(())) + (1 - beta1) * gradient
    second = beta2 * moments.get("exp_avg_sq", torch.zeros(())) + (1 - beta2) * gradient**2
    return -group["lr"] * (1 - beta2**step) ** 0.5 / (1 - beta1**step) * first / (second.sqrt() + group["eps"])


@pytest.mark.parametrize("name", names("train-hypernetwork"))
def test_the_whole_training_ends_in_the_same_generator_and_embeddings(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only eps in the step that is looked ahead to is theirs here; `tests/parts/test_lookahead.py` has ours."""
    monkeypatch.setattr(lookahead, "_change", planned)
    oracle, done = Oracle(name), []
    meta, model = oracle.meta, Net(*oracle.meta["units"])

    def begin(learner: Any, task: int, phase: str) -> None:
        learner.embeddings[task][0].copy_(oracle.tensor(f"init/embedding.{task}"))
        if task == 0:
            for key, value in theta(learner).items():
                value.copy_(oracle.tensor(f"init/{key}"))

    def after(learner: Hypernetwork, task: int) -> None:
        for key, value in theta(learner).items():
            oracle.compare("training", value, oracle.tensor(f"final/{task}/{key}"))
        for one in range(task + 1):
            embedding = learner.embeddings[one][0]
            oracle.compare("training", embedding, oracle.tensor(f"final/{task}/embedding.{one}"))
            _, weights = learner._weights(one)
            parts = [*weights.backbone.values(), weights.weight, weights.bias]
            flat = torch.cat([part.flatten() for part in parts])
            oracle.compare("forward", flat, oracle.tensor(f"generated/{task}/{one}"))
        oracle.compare("loss", losses_of(learner)[task, "generate"], oracle.tensor(f"loss/{task}"))
        found = learner.predict_images(oracle.tensor(f"pixels/{task}"), task)[:, learner.tasks[task]]
        oracle.compare("forward", found, oracle.tensor(f"logits/{task}"), "logits")
        done.append(task)

    replay(
        Hypernetwork, oracle, {"generate": rows(oracle)}, begin=begin, after=after,
        backbone=Backbone(model, half(8), identity(name, meta["units"][1])), batch_size=6, hidden=tuple(meta["hidden"]),
        **{key: meta[key] for key in ("epochs", "lr", "embedding_lr", "beta", "lookahead", "backprop", "targets")},
        **{key: meta[key] for key in ("embedding", "chunk_embedding", "chunk", "activation")},
    )  # fmt: skip
    assert done == list(range(meta["tasks"]))
