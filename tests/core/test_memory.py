"""The memory of earlier images and the batches it is mixed into."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from cl.backbone.transform import Transform
from cl.data.store import ImageStore
from cl.errors import ContractError
from cl.parts.memory import POLICIES, Memory, ReplayBatches, quotas
from cl.stream import ImageSet
from cl.training import state
from cl.training.batches import Batch, ImageBatches, TensorBatches
from cl.training.generators import generator

TRANSFORM = Transform(8, (0.5,) * 3, (0.5,) * 3)


def images(labels: list[int], first: int = 0) -> ImageSet:
    """One image per label; its pixels say which it is, counted from `first`."""
    pixels = np.arange(first, first + len(labels), dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2)
    store = ImageStore.from_arrays(pixels, np.zeros(len(labels), dtype=np.int64))
    order = np.argsort(store.pixels[:, 0, 0, 0])  # a store has an order of its own
    return ImageSet(store, order, np.asarray(labels, dtype=np.int64))


def held(memory: Memory) -> list[int]:
    return [int(number) for number in memory.pixels[:, 0, 0, 0]]


def counts(memory: Memory) -> list[int]:
    return torch.bincount(memory.labels).tolist()


def filled(count: int, policy: str = "reservoir", size: int = 100) -> Memory:
    memory = Memory(size, policy)
    memory.add(images([i % 3 for i in range(count)], first=100), generator(0, "memory"))
    return memory


# ---------------------------------------------------------------------------------------------------------- policies


def test_a_reservoir_is_a_uniform_sample_of_everything_seen() -> None:
    size, runs, found = 6, 2000, np.zeros(30)
    chunks = images([0] * 4), images([1] * 9, 4), images([2] * 17, 13)
    for seed in range(runs):
        memory, seen = Memory(size), 0
        for task, chunk in enumerate(chunks):
            memory.add(chunk, generator(seed, "task", task))
            seen += len(chunk)
            assert len(memory) == min(size, seen) == len(set(held(memory))) and memory.seen == seen
        found[held(memory)] += 1
    share = size / 30
    spread = runs * share * (1 - share) * 30 / 29  # indicators of a sample of fixed size are correlated
    assert ((found - runs * share) ** 2).sum() / spread < 58.3  # chi-square, 29 degrees of freedom, p = 0.001


def test_a_balanced_memory_has_exact_quotas_after_every_task() -> None:
    memory, first = Memory(10, "balanced"), 0
    wanted = {3: [4, 3, 3], 4: [3, 3, 2, 2], 6: [2, 2, 2, 2, 1, 1], 12: [1] * 10}
    before: set[int] = set()
    for classes in ((0, 1, 2), (3,), (4, 5), (6, 7, 8, 9, 10, 11)):
        labels = [label for label in classes for _ in range(7)]
        memory.add(images(labels, first), generator(1, "task", first))
        assert counts(memory) == wanted[classes[-1] + 1]
        now = set(held(memory))
        assert {number for number in now if number < first} <= before, "what was given up does not come back"
        assert all(label == number // 7 for label, number in zip(memory.labels.tolist(), held(memory), strict=True))
        before, first = now, first + len(labels)


def test_which_images_of_a_class_stay_is_drawn_uniformly() -> None:
    found, chunks = np.zeros(40), (images([0] * 20), images([1] * 20, 20))
    for seed in range(1000):
        memory = Memory(8, "balanced")
        for task, chunk in enumerate(chunks):  # eight of twenty stay, and four of these when the memory is shared
            memory.add(chunk, generator(seed, "task", task))
        found[held(memory)] += 1
    spread = 1000 * 0.2 * 0.8 * 20 / 19
    for part in (found[:20], found[20:]):
        assert part.sum() == 4000
        assert ((part - 200) ** 2).sum() / spread < 43.8  # 19 degrees of freedom, p = 0.001


@pytest.mark.parametrize(
    ("available", "size", "expected"),
    [
        ([9, 9, 9], 7, [3, 2, 2]),
        ([1, 9, 9], 7, [1, 3, 3]),
        ([9, 2, 9], 9, [4, 2, 3]),
        ([2, 1], 9, [2, 1]),
        ([5] * 4, 3, [1, 1, 1, 0]),
        ([5], 0, [0]),
    ],
)
def test_quotas_are_equal_as_far_as_the_images_go(available: list[int], size: int, expected: list[int]) -> None:
    assert quotas(available, size) == expected


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_memory_never_holds_more_than_its_size(policy: str, size: int) -> None:
    memory, seen = Memory(size, policy), 0
    for task in range(4):
        memory.add(images([task] * 9 + [0] * 3, seen), generator(2, "task", task))  # class 0 comes back every time
        seen += 12
        assert len(memory) == len(set(held(memory))) == min(size, seen)


@pytest.mark.parametrize("policy", POLICIES)
def test_remembered_images_are_copies_and_count_as_samples(policy: str) -> None:
    new = images([0, 1, 2, 3])
    memory = Memory(3, policy)
    memory.add(new, generator(0, "memory"))
    new.revoke()
    assert memory.pixels.dtype == torch.uint8 and memory.pixels.shape == (3, 1, 8, 8)
    assert memory.labels.tolist() == held(memory)
    assert memory.stores == "samples" and state.nbytes(state.get(memory)) == 3 * (8 * 8 + 8)
    with pytest.raises(ContractError, match="memory part"):
        memory.add(new, generator(0, "memory"))
    assert len(memory) == 3


@pytest.mark.parametrize("policy", POLICIES)
def test_a_memory_goes_on_from_its_state_as_if_it_had_not_stopped(policy: str, tmp_path: Any) -> None:
    whole, copy = Memory(5, policy), Memory(5, policy)
    state.save(tmp_path / "empty.safetensors", state.get(whole))
    copy.set_state(state.load(tmp_path / "empty.safetensors"))
    whole.add(images([0] * 9), generator(0, "first"))
    state.save(tmp_path / "memory.safetensors", state.get(whole))
    copy.set_state(state.load(tmp_path / "memory.safetensors"))
    kept = state.get(copy)
    for memory in (whole, copy):
        memory.add(images([1] * 9, 9), generator(0, "second"))
    assert held(whole) == held(copy) and torch.equal(whole.labels, copy.labels) and whole.seen == copy.seen == 18
    assert kept["labels"].tolist() == [0] * 5 and int(kept["pixels"].max()) < 9, "a state taken stays as it was"


# ----------------------------------------------------------------------------------------------------------- batches


def rng(*purpose: str | int) -> torch.Generator:
    return generator(3, *purpose)


def new_images(augment: str = "crop-flip") -> ImageBatches:
    return ImageBatches([images([i % 2 for i in range(20)])], 8, TRANSFORM, augment=augment)


def same(one: list[Batch], two: list[Batch]) -> bool:
    return len(one) == len(two) and all(
        torch.equal(a.x, b.x) and torch.equal(a.y, b.y) for a, b in zip(one, two, strict=True)
    )


def test_new_images_are_those_without_a_memory_and_come_first() -> None:
    alone = list(new_images().epoch(0, rng))
    for size in (0, 5, 50):
        mixed = ReplayBatches(new_images(), filled(30), size, TRANSFORM, augment="crop-flip")
        assert mixed.steps == 3
        batches = list(mixed.epoch(0, rng))
        assert [len(batch) for batch in batches] == [len(batch) + (size or len(batch)) for batch in alone]
        cut = [Batch(b.x[: len(a)], b.y[: len(a)]) for a, b in zip(alone, batches, strict=True)]
        assert same(alone, cut)


def test_batches_are_the_same_from_any_start_and_differ_between_steps() -> None:
    mixed = ReplayBatches(new_images(), filled(30), 6, TRANSFORM, augment="crop-flip")
    whole = list(mixed.epoch(0, rng))
    for start in range(4):
        assert same(whole[start:], list(mixed.epoch(0, rng, start)))
    assert not torch.equal(whole[0].x[8:], whole[1].x[8:])


def test_remembered_images_are_drawn_once_each_unless_they_are_too_few() -> None:
    for count, size in ((30, 30), (4, 30), (30, 7)):
        memory = filled(count)
        mixed = ReplayBatches(new_images("none"), memory, size, TRANSFORM, augment="none")
        known = dict(zip(held(memory), memory.labels.tolist(), strict=True))
        for new, batch in zip(new_images("none").epoch(0, rng), mixed.epoch(0, rng), strict=True):
            old = Batch(batch.x[len(new) :], batch.y[len(new) :])
            numbers = [round(float(x[0, 0, 0] * 0.5 + 0.5) * 255) for x in old.x]
            assert [known[number] for number in numbers] == old.y.tolist()
            assert len(set(numbers)) == size if count >= size else len(set(numbers)) < len(numbers) == size


def test_remembered_images_are_augmented_like_new_ones() -> None:
    plain, crops = (
        [b.x[-6:] for b in ReplayBatches(new_images(), stripes(), 6, TRANSFORM, augment=name).epoch(0, rng)]
        for name in ("none", "crop-flip")
    )
    assert all(torch.equal(x, plain[0]) for x in plain), "one image, unaugmented"
    assert not torch.equal(crops[0][0], crops[0][1]), "every image has its own draw"
    assert not torch.equal(crops[0], crops[1]), "and every step"


def stripes() -> Memory:
    memory = Memory(1)
    memory.pixels = (torch.arange(8, dtype=torch.uint8) ** 2 * 5).expand(1, 1, 8, 8)
    memory.labels = torch.tensor([0])
    return memory


def test_features_stand_for_remembered_images_beside_features() -> None:
    memory = filled(30)
    features = torch.stack([memory.pixels[:, 0, 0, 0].float(), memory.labels.float()], 1)
    source = TensorBatches(torch.zeros(20, 2), torch.zeros(20, dtype=torch.long), 8)
    source.flops_per_item = 7.0
    mixed = ReplayBatches(source, memory, 5, TRANSFORM, features=features)
    assert mixed.flops_per_item == 7.0
    for batch in mixed.epoch(0, rng):
        old = batch.x[-5:]
        assert torch.equal(old[:, 1].long(), batch.y[-5:]) and (old[:, 0] >= 100).all()
