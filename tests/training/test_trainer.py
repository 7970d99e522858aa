"""The trainer of a run: its seeds and its journaled calls."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cl.progress.base import Observer
from cl.random import Seeds
from cl.training.trainer import Trainer
from tests.help.probe import probe


def test_finished_computes_are_not_repeated(tmp_path: Path) -> None:
    for expected in (1, 0):
        calls: list[int] = []
        probe(tmp_path).compute("once", partial(calls.append, 1))
        assert len(calls) == expected


def test_seeds_are_separate() -> None:
    def drawn(seeds: Seeds) -> tuple[Tensor, Tensor]:
        trainer = Trainer(seeds=seeds)
        return torch.rand(2, generator=trainer.init_rng("head")), torch.rand(2, generator=trainer.journal.rng("x"))

    base, other = drawn(Seeds(0, 0, 0)), drawn(Seeds(9, 0, 5))
    assert torch.equal(base[0], other[0]) and not torch.equal(base[1], other[1])


def test_a_pass_is_counted_as_it_runs_unless_it_counts_itself() -> None:
    learner = probe()

    def product() -> dict[str, list[int]]:
        torch.ones(2, 3) @ torch.ones(3, 4)
        return {"sizes": [2, 4]}

    assert learner.trainer.compute(learner, "counted", product) == {"sizes": [2, 4]}
    assert learner.trainer.cost.flops["executed"] == 2 * 2 * 3 * 4
    learner.trainer.compute(learner, "free", product, count=False)
    assert learner.trainer.cost.flops["executed"] == 2 * 2 * 3 * 4


def test_the_observer_receives_the_phase_of_a_compute() -> None:
    told: list[str] = []

    class Watching(Observer):
        def phase(self, name: str, total_steps: int, done: int = 0) -> None:
            told.append(name)

        def end_phase(self) -> None:
            told.append("end")

    learner = probe()
    learner.trainer.observer = Watching()
    learner.compute("statistics", lambda: 1)
    assert told == ["statistics", "end"]


def test_the_largest_number_of_trained_parameters_is_kept() -> None:
    trainer = Trainer()
    for layer in (nn.Linear(2, 3), nn.Linear(5, 7), nn.Linear(1, 1)):
        trainer.trains(layer.parameters())
    assert trainer.cost.trainable == 5 * 7 + 7


def test_a_profile_waits_for_accelerators_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Trainer(device="cpu").wait is None
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    wait = Trainer(device="cuda:1").wait
    assert wait is not None
    wait()
    assert waited == [torch.device("cuda:1")]
