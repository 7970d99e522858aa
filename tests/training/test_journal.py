"""The journal of a task: finished calls are not repeated, and a resumed `learn` gives the same result."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from cl.training.checkpoint import Checkpoint
from cl.training.optim import When
from tests.help.probe import Probe, X, probe, weights


def test_repeated_phases_of_one_name_draw_different_orders() -> None:
    learner, orders = probe(), []
    for _ in range(2):
        seen: list[Tensor] = []
        learner.train("same", 1, loss=lambda b, seen=seen: (seen.append(b.y), learner.loss(b))[1])
        orders.append(torch.cat(seen))
    assert not torch.equal(*orders)


class Killed(BaseException):
    """Simulates SIGKILL inside one process."""


def interrupted(learner: Probe, at: int) -> None:
    """Run two phases with a compute between them, killed at the given step."""
    steps = iter(range(10**6))

    def tick(when: When) -> None:
        if next(steps) == at:
            raise Killed

    noise = learner.rng("noise")
    learner.calls += 1
    learner.train("a", 2, after_step=tick)
    learner.shift = torch.rand(2, generator=noise)
    value = learner.compute("statistics", lambda: {"mean": X.mean(0), "n": 40})
    assert torch.equal(value["mean"], X.mean(0))
    learner.train("a", 2, validate=lambda: float(torch.rand(())), select="best", after_step=tick)
    learner.shift = learner.shift + torch.rand(2, generator=noise) + torch.rand(2)


@pytest.mark.parametrize("at", [0, 3, 4, 5, 9, 10, 12, 19])
def test_resumed_learning_equals_uninterrupted_learning(tmp_path: Path, at: int) -> None:
    whole = probe()
    interrupted(whole, -1)
    with pytest.raises(Killed):
        interrupted(probe(tmp_path), at)
    again = probe(tmp_path)
    interrupted(again, -1)
    assert torch.equal(weights(whole), weights(again)) and torch.equal(whole.shift, again.shift)
    assert again.calls == 1 and again.trainer.cost.flops == whole.trainer.cost.flops
    assert bool(again.trainer.journal.resumed_from) == (at > 0)


def test_entries_that_are_not_due_are_not_written(tmp_path: Path) -> None:
    learner = probe(tmp_path)
    learner.trainer.journal.checkpoint = Checkpoint(tmp_path, every=1e9)
    learner.train("a")
    assert not list(tmp_path.glob("*"))
