"""VCL against nvcuong/variational-continual-learning @b0827e5: whole trainings of means and variances."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.parts import variational
from cl.strategies import vcl
from cl.strategies.vcl import VCL
from tests.help.oracles import Oracle, half, identity, losses_of, names, replay, rows

TENSORS = ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias")


class Net(nn.Module):
    """Flattened images, relu(fc1), fc2 with or without ReLU."""

    def __init__(self, hidden: int, last: bool) -> None:
        super().__init__()
        self.num_features = hidden
        self.fc1, self.fc2 = nn.Linear(3 * 8 * 8, hidden), nn.Linear(hidden, hidden)
        self.last = nn.ReLU() if last else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.fc2(torch.relu(self.fc1(x.flatten(1)))))
        return out


class TensorFlowAdam(torch.optim.Adam):
    """Adam whose epsilon is added before the correction of the second moment, as TensorFlow does."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            known = self.state.get(group["params"][0], {}).get("step", torch.zeros(()))
            group["eps"] = 1e-8 / math.sqrt(1 - 0.999 ** (float(known) + 1))
        return super().step(closure)


def trained(learner: VCL, task: int) -> Iterator[tuple[str, Tensor, Tensor]]:
    """The means and log variances of the network and of the head of a task, by the names of the files."""
    for name in TENSORS:
        yield name, learner.backbone.model.get_parameter(name), learner.posterior.log_variances[f"backbone.{name}"]
    for part in ("weight", "bias"):
        name = f"head.{task}.{part}"
        yield name, getattr(learner.head.blocks[task], part), learner.posterior.log_variances[name]


@pytest.mark.parametrize("name", names("train-vcl"))
def test_the_whole_training_ends_in_the_same_distributions(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    oracle, done = Oracle(name), []
    meta, arrays = oracle.meta, oracle.arrays
    starts = "start/0" in arrays  # ddm, without noise; the other file has draws, and no ReLU behind the last layer
    model, noise = Net(meta["hidden"], starts), list[Tensor]()

    def normal(shape: Any, like: Tensor, generator: Any = None) -> Tensor:
        return noise.pop(0).unsqueeze(1).expand(*shape) if noise else torch.zeros(*shape)

    monkeypatch.setattr(variational, "normal", normal)
    monkeypatch.setattr(vcl, "adam", lambda lr: functools.partial(TensorFlowAdam, lr=lr))

    def begin(learner: VCL, task: int, phase: str) -> None:
        if phase == "means" or (task == 0 and not starts):
            model.load_state_dict({key: oracle.tensor(f"init/{key}") for key in TENSORS})
        if phase == "means" or task or not starts:
            for part in ("weight", "bias"):
                getattr(learner.head.blocks[task], part).copy_(oracle.tensor(f"init/head.{task}.{part}"))
        if phase == "posterior" and starts:
            kl = learner.posterior.kl(learner._with_head(task))
            oracle.compare("loss", kl, oracle.tensor(f"kl/{task}"), "kl")
        if not starts:
            widths = [meta["hidden"], meta["hidden"], 2]
            noise.extend(part for step in oracle.tensor(f"noise/{task}") for part in step.split(widths, 1))

    def after(learner: VCL, task: int) -> None:
        assert not noise
        for key, mean, log_variance in trained(learner, task):
            oracle.compare("training", mean, oracle.tensor(f"mean/{task}/{key}"))
            quantity = "spread" if task and not starts else "*"
            oracle.compare("training", log_variance, oracle.tensor(f"log_variance/{task}/{key}"), quantity)
        losses = losses_of(learner)
        oracle.compare("loss", losses[task, "posterior"], oracle.tensor(f"loss/{task}"), "losses")
        if starts:
            if not task:
                oracle.compare("loss", losses[0, "means"], oracle.tensor("start-loss/0"), "losses")
            found = learner.predict_images(oracle.tensor(f"pixels/{task}"), task)[:, learner.head.tasks[task]]
            oracle.compare("forward", found, oracle.tensor(f"logits/{task}").log_softmax(1), "losses")
        done.append(task)

    epochs = meta["epochs"]
    replay(
        VCL, oracle, {"posterior": rows(oracle), "means": rows(oracle, "start")}, begin=begin, after=after,
        backbone=Backbone(model, half(8), identity(name, meta["hidden"])), batch_size=6, epochs=epochs,
        start_epochs=epochs if starts else 0, samples=meta["samples"], lr=meta["lr"],
    )  # fmt: skip
    assert done == list(range(3))
