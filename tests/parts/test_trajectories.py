"""Batches of meta-learning: which images a step has, and in which order."""

from __future__ import annotations

from typing import Any

import torch

from cl.parts.trajectories import InSequence, Layout, Trajectories
from cl.stream import ImageSet
from cl.training.batches import TensorBatches
from cl.training.generators import generator
from tests.conftest import tiny_backbone, tiny_stream

LAYOUT = Layout(trajectories=2, classes=1, steps=3, others=4, random=6)


def images(*, few: int | None = None) -> ImageSet:
    """12 images each of five classes; of the class `few` there are five."""
    found = tiny_stream(tasks=2).view(0).train
    labels = found.labels
    kept = [row for c in range(5) for row in (labels == c).nonzero().flatten().tolist()[: 5 if c == few else None]]
    return found.subset(torch.tensor(kept))


def source(layout: Layout = LAYOUT, few: int | None = None, **options: Any) -> Trajectories:
    return Trajectories(images(few=few), layout, 5, tiny_backbone().transform, "cpu", **options)


def rng(*key: str | int) -> torch.Generator:
    return generator(3, *key)


def test_a_step_has_trajectories_their_other_images_and_random_ones() -> None:
    data, pools = source(), []
    for batch in data.epoch(0, rng):
        assert len(batch) == 2 * (3 + 4) + 6 and batch.rows is not None
        own, others, random = LAYOUT.split(batch.y)
        assert own.shape == (2, 3) and others.shape == (2, 4) and random.shape == (6,)
        assert bool((own == own[:, :1]).all()) and torch.equal(own[:, 0], others[:, 0]) and own[0, 0] != own[1, 0]
        assert torch.equal(LAYOUT.classes_of(batch.y), own[:, 0]) and bool((others == others[:, :1]).all())
        rows = batch.rows.tolist()
        assert len(set(rows[:14])) == 14 and len(set(rows[14:])) == 6
        assert torch.equal(data.labels[batch.rows], batch.y)
        pools += random.tolist()
    assert set(pools) == set(range(5))


def test_a_trajectory_has_its_classes_one_after_the_other() -> None:
    layout = Layout(trajectories=1, classes=2, steps=3, others=4, random=0)
    for batch in source(layout).epoch(0, rng):
        own, others, random = layout.split(batch.y)
        first, second = layout.classes_of(batch.y).tolist()
        assert own.tolist() == [[first] * 3 + [second] * 3] and first != second and not len(random)
        assert others.tolist() == [[first] * 4 + [second] * 4]


def test_halves_part_the_classes_of_trajectories_and_of_random_images() -> None:
    own, rest = set(), set()
    for batch in source(halves=True).epoch(0, rng):
        own |= set(LAYOUT.classes_of(batch.y).tolist())
        rest |= set(LAYOUT.split(batch.y)[2].tolist())
    assert own <= {2, 3, 4} and len(own) > 1 and rest == {0, 1}


def test_classes_with_few_images_are_in_no_trajectory() -> None:
    data = source(few=1)
    assert data.candidates == [0, 2, 3, 4] and 1 in data.labels[data.pool]
    assert all(1 not in LAYOUT.classes_of(batch.y) for batch in data.epoch(0, rng))


def test_a_batch_does_not_depend_on_the_start() -> None:
    data = source()
    whole, rest = list(data.epoch(0, rng)), list(data.epoch(0, rng, 3))
    assert len(whole) == 5 and len(rest) == 2
    assert torch.equal(whole[3].x, rest[0].x) and torch.equal(whole[4].x, rest[1].x)
    assert not torch.equal(whole[3].x, whole[4].x)


def test_features_in_sequence() -> None:
    features = TensorBatches(torch.arange(8.0).view(4, 2), torch.tensor([1, 0, 1, 0]), 3)
    features.flops_per_item = 7.0
    data = InSequence(features, features.y.argsort(stable=True))
    batches = list(data.epoch(0, rng))
    assert data.steps == 4 and data.flops_per_item == 7.0
    assert [batch.y.tolist() for batch in batches] == [[0], [0], [1], [1]]
    assert [batch.x[0, 0].item() for batch in batches] == [2, 6, 0, 4]
    assert [batch.y.tolist() for batch in data.epoch(0, rng, 3)] == [[1]]
