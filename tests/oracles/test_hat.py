"""HAT against joansj/hat @6fd0b9d: whole trainings of weights, embeddings and heads."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.strategies.hat import HAT
from tests.help.oracles import Oracle, half, identity, losses_of, names, replay, rows

LAYERS = ("fc1", "fc2")


class Net(nn.Module):
    """Flattened images, relu(fc1), relu(fc2)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.num_features = hidden
        self.fc1, self.fc2 = nn.Linear(3 * 8 * 8, hidden), nn.Linear(hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.fc2(torch.relu(self.fc1(x.flatten(1)))))


@pytest.mark.parametrize("name", names("train-hat"))
def test_the_whole_training_ends_in_the_same_weights_and_gates(name: str) -> None:
    oracle, done = Oracle(name), []
    meta, model = oracle.meta, Net(oracle.meta["hidden"])
    model.load_state_dict({key: value for key, value in oracle.group("init").items() if key.startswith("fc")})

    def begin(learner: Any, task: int, phase: str) -> None:
        for number, embedding in enumerate(learner.gates.current):
            embedding.copy_(oracle.tensor(f"init/efc{number + 1}.weight")[task])
        for part in ("weight", "bias"):
            getattr(learner.head.blocks[-1], part).copy_(oracle.tensor(f"init/last.{task}.{part}"))

    def after(learner: HAT, task: int) -> None:
        for number, layer in enumerate(LAYERS):
            for part in ("weight", "bias"):
                ours = getattr(learner.backbone.model.get_submodule(layer), part)
                oracle.compare("training", ours, oracle.tensor(f"final/{task}/{layer}.{part}"))
            oracle.compare(
                "training", learner.gates.tasks[task][number], oracle.tensor(f"embedding/{task}/{number}"), "losses"
            )
            oracle.compare(
                "training", learner.gates.largest[number], oracle.tensor(f"largest/{task}/{number}"), "losses"
            )
        for part in ("weight", "bias"):
            oracle.compare(
                "training", getattr(learner.head.blocks[task], part), oracle.tensor(f"final/{task}/last.{task}.{part}")
            )
        oracle.compare("loss", losses_of(learner)[task, "gates and weights"], oracle.tensor(f"loss/{task}"), "losses")
        found = learner.predict_images(oracle.tensor(f"pixels/{task}"), task)[:, learner.head.tasks[task]]
        oracle.compare("forward", found, oracle.tensor(f"logits/{task}"), "losses")
        done.append(task)

    replay(
        HAT, oracle, {"gates and weights": rows(oracle)}, begin=begin, after=after,
        backbone=Backbone(model, half(8), identity(name, meta["hidden"])), batch_size=6,
        **{key: meta[key] for key in ("epochs", "lr", "smax", "lamb")},
    )  # fmt: skip
    assert done == list(range(meta["tasks"]))
