"""The adapter of Avalanche's strategies: resuming, FLOPs and losses that are not finite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cl.errors import NonFiniteLoss
from cl.progress.base import Observer
from cl.training.cost import count_flops
from tests.conftest import run, tiny_stream
from tests.help.avalanche import NAMES, build


class StopInside(Observer):
    """Ends the work as a kill would: in the middle of the training of task 2."""

    def __init__(self) -> None:
        self.number, self.steps = 0, 0

    def task(self, index: int, total: int, name: str) -> None:
        self.number, self.steps = index, 0

    def advance(self, n: int = 1, loss: float | None = None) -> None:
        self.steps += 1
        if (self.number, self.steps) == (2, 1):
            raise Stopped


class Stopped(Exception):
    pass


@pytest.mark.parametrize("name", NAMES)
def test_a_run_stopped_and_run_again_has_the_same_result(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stream = tiny_stream(tasks=3, train_per_class=3, test_per_class=2)
    expected = run(build(name), stream, tmp_path / "whole")
    learner = build(name, tmp_path / "stopped")
    learner.trainer.observer = StopInside()
    with pytest.raises(Stopped):
        run(learner, stream, tmp_path / "stopped")
    found = run(build(name, tmp_path / "stopped"), stream, tmp_path / "stopped")
    assert found["result"] == expected["result"]
    assert found["measurement"]["stored"] == expected["measurement"]["stored"]
    assert found["measurement"]["flops"]["executed"] > 0
    assert found["measurement"]["resumed_from"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ("ewc", "icarl"))
def test_the_flops_counted_are_those_executed(name: str, tmp_path: Path) -> None:
    learner, stream = build(name), tiny_stream(tasks=2, train_per_class=4, test_per_class=2)
    record, executed = count_flops(lambda: run(learner, stream, tmp_path))
    assert record["measurement"]["flops"]["executed"] == pytest.approx(executed, rel=0.02)


def test_a_loss_that_is_not_finite_ends_the_run(learn: Any) -> None:
    with pytest.raises(NonFiniteLoss, match="lower the learning rate"):
        learn(build("naive", lr=1e30), tiny_stream(train_per_class=4), 1)
    assert count_flops(lambda: torch.ones(2, 2) @ torch.ones(2, 2))[1] == 16  # no counter was left running
