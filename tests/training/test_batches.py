"""Batches: every item once, from any step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch

from cl.training.batches import TensorBatches
from tests.help.probe import X, Y


def test_batches_resume_anywhere_and_cover_every_item() -> None:
    from cl.training.generators import generator

    def rng(*key: Any) -> torch.Generator:
        return generator(1, *key)

    source = TensorBatches(X, Y, 7)

    def labels(start: int) -> Iterator[list[float]]:
        return (batch.x[:, 0].tolist() for batch in source.epoch(0, rng, start))

    whole = list(labels(0))
    assert source.steps == len(whole) == 6 and sorted(chain(*whole)) == sorted(X[:, 0].tolist())
    assert list(labels(4)) == whole[4:]
    assert TensorBatches(X, Y, 7, drop_last=True).steps == 5 and TensorBatches(X, Y, 100, drop_last=True).steps == 1
