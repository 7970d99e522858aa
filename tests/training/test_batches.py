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
from cl.training.augment import RECIPES
from cl.training.batches import ImageBatches, TensorBatches, without_single
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


def sizes(source: Any, start: int = 0) -> list[int]:
    return [len(batch) for batch in source.epoch(0, lambda *key: torch.Generator().manual_seed(1), start)]


def test_a_last_batch_of_one_joins_the_batch_before() -> None:
    nine, plain = TensorBatches(X[:9], Y[:9], 4), TensorBatches(X[:9], Y[:9], 4)
    merged = without_single(nine)
    assert (merged.steps, sizes(merged), sizes(merged, 1)) == (2, [4, 5], [5])
    assert (nine.steps, sizes(nine)) == (3, [4, 4, 1]), "the source itself is as before"

    def items(source: Any) -> list[float]:
        return [x for b in source.epoch(0, lambda *key: torch.Generator().manual_seed(1)) for x in b.x[:, 0].tolist()]

    assert items(merged) == items(plain), "the same order"
    assert sizes(without_single(TensorBatches(X[:9], Y[:9], 4, drop_last=True))) == [4, 4], "which stays left out"
    assert sizes(without_single(TensorBatches(X[:10], Y[:10], 4))) == [4, 4, 2]
    assert sizes(without_single(TensorBatches(X[:8], Y[:8], 4))) == [4, 4]
    assert sizes(without_single(TensorBatches(X[:1], Y[:1], 4))) == [1], "nothing to join"
    assert sizes(without_single(TensorBatches(X[:3], Y[:3], 1))) == [1, 1, 1], "a batch size of one stays"
    assert sizes(without_single(TensorBatches(X[:1], Y[:1], 4, drop_last=True))) == [1]
    images = without_single(ImageBatches([grey([7, 3, 5]), grey([11, 2])], 2, Transform(8, (0.0,) * 3, (1.0,) * 3)))
    assert sizes(images) == [2, 3]


def test_a_source_of_another_kind_is_returned_unchanged() -> None:
    class Own:
        steps = 1

        def epoch(self, epoch: int, rng: Any, start: int = 0) -> Iterator[Any]:
            yield from ()

    own = Own()
    assert without_single(own) is own


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


@pytest.mark.parametrize("recipe", RECIPES)
def test_images_are_augmented_on_the_device_without_reading_from_it(recipe: str) -> None:
    """The meta device has shapes only: reading a value from it raises."""
    sets, transform = [grey([7, 3, 5]), grey([11, 2])], Transform(8, (0.5,) * 3, (0.5,) * 3)

    def rng(*key: Any) -> torch.Generator:
        return torch.Generator().manual_seed(1)

    plain = list(ImageBatches(sets, 2, transform, augment=recipe).epoch(0, rng))
    there = list(ImageBatches(sets, 2, transform, augment=recipe, device="meta").epoch(0, rng))
    assert [batch.x.shape for batch in there] == [batch.x.shape for batch in plain] and len(there) == 3
    assert all(
        part.device.type == "meta" for batch in there for part in (batch.x, batch.y, batch.rows) if part is not None
    )


# ------------------------------------------------------------------------------------- several classes per image


def tagged(seed: int = 0, classes: int = 4) -> ImageSet:
    rng = np.random.default_rng(seed)
    tags = rng.random((20, classes)) < 0.5
    store = ImageStore.from_arrays(rng.integers(0, 256, (20, 4, 4, 3), np.uint8), tags)
    return ImageSet(store, np.arange(20), store.labels, store.tags)


def named(*key: Any) -> torch.Generator:
    from cl.training.generators import generator

    return generator(1, *key)


def test_tags_follow_their_images_into_batches() -> None:
    """From two sets of one task, augmented and shuffled."""
    sets = [tagged(0), tagged(1)]
    expected = torch.cat([images.tags for images in sets if images.tags is not None])
    source = ImageBatches(sets, 8, Transform(4, (0.5,) * 3, (0.5,) * 3), augment="rrc-flip")
    batches = list(source.epoch(0, named))
    for batch in batches:
        assert batch.rows is not None and batch.tags is not None
        assert torch.equal(batch.tags, expected[batch.rows])
    assert sum(map(len, batches)) == 40
    features = TensorBatches(torch.zeros(40, 2), source.labels, 8, tags=expected)
    for batch in features.epoch(0, named):
        assert batch.rows is not None and batch.tags is not None and torch.equal(batch.tags, expected[batch.rows])


def test_images_of_other_tasks_share_no_batch_with_several_classes() -> None:
    plain = tagged()
    plain = ImageSet(plain.store, plain.rows, plain.store.labels)
    for other in (plain, tagged(1, classes=3)):
        with pytest.raises(UsageError, match="share no batch"):
            ImageBatches([tagged(), other], 8, Transform(4, (0.5,) * 3, (0.5,) * 3))
    source = ImageBatches([plain], 8, Transform(4, (0.5,) * 3, (0.5,) * 3))
    assert all(batch.tags is None for batch in source.epoch(0, named))
