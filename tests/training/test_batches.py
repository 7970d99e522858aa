"""Batches: every item once, from any step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch

from cl.backbone.transform import Transform
from cl.data.store import ImageStore
from cl.errors import UsageError
from cl.stream import ImageSet
from cl.training.batches import ImageBatches, TensorBatches
from tests.help.probe import X, Y


def test_batches_cover_every_item_and_start_at_any_step() -> None:
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


def grey(values: list[int]) -> ImageSet:
    """One image per value, which is the value of all its pixels and its label."""
    pixels = np.asarray(values, np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2)
    store = ImageStore.from_arrays(pixels, np.zeros(len(values), np.int64))
    found = store.pixels[:, 0, 0, 0].tolist()  # a store has an order of its own
    rows = np.asarray([found.index(value) for value in values])
    return ImageSet(store, rows, np.asarray(values, np.int64))


def test_images_of_several_sets_keep_their_labels_and_rows() -> None:
    sets, plain = [grey([7, 3, 5]), grey([11]), grey([2, 19])], Transform(8, (0.0,) * 3, (1.0,) * 3)
    source = ImageBatches(sets, 4, plain)
    values = torch.tensor([7, 3, 5, 11, 2, 19])
    batches = list(source.epoch(0, lambda *key: torch.Generator().manual_seed(len(key))))
    assert [len(batch) for batch in batches] == [4, 2]
    for batch in batches:
        assert batch.rows is not None and torch.equal(batch.y, values[batch.rows])
        assert torch.equal((255 * batch.x).round().long()[:, 0, 0, 0], batch.y)
    assert sorted(torch.cat([batch.y for batch in batches]).tolist()) == sorted(values.tolist())
    with pytest.raises(UsageError, match="unknown augmentation"):
        ImageBatches(sets, 4, plain, augment="mixup")
