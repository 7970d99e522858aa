"""TAG against pranshu28/TAG @187d4df: whole trainings with each of the three optimisers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cl.strategies.tag import TAG
from tests.help.oracles import Oracle, losses_of, names, replay, rows
from tests.help.oracles_rest import LAYERS, small_net


@pytest.mark.parametrize("name", names("train-tag"))
def test_the_whole_training_ends_in_the_same_weights(name: str) -> None:
    oracle, done = Oracle(name), []
    meta = oracle.meta

    def begin(learner: Any, task: int, phase: str) -> None:
        own = slice(2 * task, 2 * task + 2)
        learner.head.blocks[-1].weight.copy_(oracle.tensor("init/linear.weight")[own])
        learner.head.blocks[-1].bias.copy_(oracle.tensor("init/linear.bias")[own])

    def after(learner: TAG, task: int) -> None:
        for layer in LAYERS:
            key, ours = f"{layer}.weight", f"backbone.{layer}.weight"
            oracle.compare("training", learner.backbone.model.get_parameter(key), oracle.tensor(f"final/{task}/{key}"))
            oracle.compare("training", learner.moments.directions[ours][-1], oracle.tensor(f"direction/{task}/{key}"))
            second = learner.moments.seconds[ours][-1].view_as(oracle.tensor(f"second/{task}/{key}"))
            oracle.compare("training", second, oracle.tensor(f"second/{task}/{key}"))
        seen = slice(0, 2 * task + 2)
        for part in ("weight", "bias"):
            held = torch.cat([getattr(block, part) for block in learner.head.blocks])
            oracle.compare("training", held, oracle.tensor(f"final/{task}/linear.{part}")[seen])
        oracle.compare("loss", losses_of(learner)[task, "train"], oracle.tensor(f"loss/{task}"))
        done.append(task)

    replay(
        TAG, oracle, {"train": rows(oracle)}, begin=begin, after=after, backbone=small_net(oracle), epochs=1,
        batch_size=4, lr=meta["lr"], b=float(meta["b"]), beta2=meta["beta2"], optimizer=meta["optimizer"],
    )  # fmt: skip
    assert done == list(range(meta["tasks"]))


def test_the_files_have_alike_and_opposed_tasks() -> None:
    found = torch.cat([Oracle(name).tensor("alphas/1")[:, :, 0].flatten() for name in names("train-tag")])
    assert float(found.min()) < 0.3 and float(found.max()) > 3
