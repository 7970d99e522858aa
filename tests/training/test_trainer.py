"""The trainer of a run: its seeds and its journaled calls."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from cl.random import Seeds
from cl.training.trainer import Trainer
from tests.help.probe import probe


def test_computes_are_not_repeated(tmp_path: Path) -> None:
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
