"""The memory of earlier images, and batches that contain remembered images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from cl.backbone.transform import Transform
from cl.data.store import ImageStore
from cl.errors import ContractError
from cl.parts.memory import POLICIES, Memory, ReplayBatches, herded, quotas
from cl.stream import ImageSet
from cl.training import state
from cl.training.batches import Batch, ImageBatches, TensorBatches
from cl.training.generators import generator

TRANSFORM = Transform(8, (0.5,) * 3, (0.5,) * 3)


def images(labels: list[int], first: int = 0) -> ImageSet:
    """One image per label; its pixels hold its number, counted from `first`."""
    pixels = np.arange(first, first + len(labels), dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2)
    store = ImageStore.from_arrays(pixels, np.zeros(len(labels), dtype=np.int64))
    order = np.argsort(store.pixels[:, 0, 0, 0])  # a store has an order of its own
    return ImageSet(store, order, np.asarray(labels, dtype=np.int64))


def held(memory: Memory) -> list[int]:
    return [int(number) for number in memory.pixels[:, 0, 0, 0]]


def offer(memory: Memory, new: ImageSet, rng: torch.Generator) -> None:
    """Add images, with features if the policy needs them."""
    features = torch.randn(len(memory) + len(new), 4, generator=generator(9, "features", memory.seen))
    memory.add(new, rng, features if memory.policy == "herding" else None)


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
        assert {number for number in now if number < first} <= before, "removed images do not return"
        assert all(label == number // 7 for label, number in zip(memory.labels.tolist(), held(memory), strict=True))
        before, first = now, first + len(labels)


def test_the_images_kept_of_a_class_are_a_uniform_sample() -> None:
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
    ("policy", "kept", "labels"),
    [
        ("reservoir", [0, 2, 7, 23, 20, 44, 43], [0, 0, 1, 2, 2, 3, 0]),
        ("balanced", [6, 0, 1, 3, 22, 20, 40], [0, 0, 1, 1, 2, 2, 3]),
    ],
)
def test_draws_of_the_memory_do_not_change_between_versions(policy: str, kept: list[int], labels: list[int]) -> None:
    """Values of the first version of the memory; results depend on them."""
    memory = Memory(7, policy)
    for task, new in enumerate(([0, 1, 0, 1, 0, 1, 0, 1], [2] * 6, [3, 0, 3, 0, 3])):
        memory.add(images(new, first=20 * task), generator(11, "task", task))
    assert held(memory) == kept and memory.labels.tolist() == labels


def test_herding_follows_the_mean_of_the_class() -> None:
    """By hand: divided by their norms the rows are (0, 1), (1, 0), (.6, .8), with mean (.533, .6).

    (.6, .8) is nearest; with it the mean with (1, 0) is (.8, .4), at .111, and that with (0, 1) is (.3, .9), at .144.
    """
    features = torch.tensor([[0.0, 3.0], [2.0, 0.0], [6.0, 8.0]])
    assert herded(features, 2).tolist() == [2, 1] and herded(features, 9).tolist() == [2, 1, 0]
    assert herded(torch.tensor([[1.0, 0.0]] * 3), 2).tolist() == [0, 1], "the lower row wins a tie"
    assert herded(features, 0).tolist() == []


def test_a_herded_memory_removes_the_images_of_the_lowest_rank() -> None:
    memory, features = Memory(6, "herding"), torch.tensor([[0.0, 3.0], [2.0, 0.0], [6.0, 8.0]])
    rng = generator(0, "unused")
    memory.add(images([0, 1, 0, 1, 0, 1]), rng, features.repeat_interleave(2, 0).flip(1))
    assert memory.labels.tolist() == [0, 0, 0, 1, 1, 1]
    ranks = held(memory)
    memory.add(images([2, 2, 2], 10), rng, features)
    assert held(memory) == [*ranks[:2], *ranks[3:5], 12, 11] and memory.labels.tolist() == [0, 0, 1, 1, 2, 2]
    memory.resize(3)
    memory.add(images([2], 20), rng, torch.cat([torch.zeros(4, 2), features]))  # class 2 returns
    assert memory.labels.tolist() == [0, 1, 2] and held(memory) == [ranks[0], ranks[3], 20]
    assert torch.equal(rng.get_state(), generator(0, "unused").get_state()), "nothing is drawn"
    for given in (None, features[:2]):
        with pytest.raises(ContractError, match="a feature per image, 3 or 6"):
            memory.add(images([5] * 3, 30), rng, given)
    with pytest.raises(ContractError, match="a class that returns"):
        memory.add(images([0] * 3, 30), rng, features)


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
def test_quotas_are_as_equal_as_the_images_allow(available: list[int], size: int, expected: list[int]) -> None:
    assert quotas(available, size) == expected


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_memory_never_holds_more_than_its_size(policy: str, size: int) -> None:
    memory, seen = Memory(size, policy), 0
    for task in range(4):
        offer(memory, images([task] * 9 + [0] * 3, seen), generator(2, "task", task))  # class 0 comes back every time
        seen += 12
        assert len(memory) == len(set(held(memory))) == min(size, seen)


@pytest.mark.parametrize("policy", POLICIES)
def test_remembered_images_are_copies_and_count_as_samples(policy: str) -> None:
    new = images([0, 1, 2, 3])
    memory = Memory(3, policy)
    offer(memory, new, generator(0, "memory"))
    new.revoke()
    assert memory.pixels.dtype == torch.uint8 and memory.pixels.shape == (3, 1, 8, 8)
    assert memory.labels.tolist() == held(memory)
    assert memory.stores == "samples" and state.nbytes(state.get(memory)) == 3 * (8 * 8 + 8)
    with pytest.raises(ContractError, match="memory part"):
        offer(memory, new, generator(0, "memory"))
    assert len(memory) == 3


@pytest.mark.parametrize("policy", POLICIES)
def test_a_restored_memory_continues_like_the_original(policy: str, tmp_path: Any) -> None:
    whole, copy = Memory(5, policy), Memory(5, policy)
    state.save(tmp_path / "empty.safetensors", state.get(whole))
    copy.set_state(state.load(tmp_path / "empty.safetensors"))
    offer(whole, images([0] * 9), generator(0, "first"))
    state.save(tmp_path / "memory.safetensors", state.get(whole))
    copy.set_state(state.load(tmp_path / "memory.safetensors"))
    kept = state.get(copy)
    for memory in (whole, copy):
        offer(memory, images([1] * 9, 9), generator(0, "second"))
    assert held(whole) == held(copy) and torch.equal(whole.labels, copy.labels) and whole.seen == copy.seen == 18
    assert kept["labels"].tolist() == [0] * 5 and int(kept["pixels"].max()) < 9, "a saved state does not change"


# ----------------------------------------------------------------------------------------------------------- batches


def rng(*purpose: str | int) -> torch.Generator:
    return generator(3, *purpose)


def new_images(augment: str = "crop-flip") -> ImageBatches:
    return ImageBatches([images([i % 2 for i in range(20)])], 8, TRANSFORM, augment=augment)


def same(one: list[Batch], two: list[Batch]) -> bool:
    return len(one) == len(two) and all(
        torch.equal(a.x, b.x) and torch.equal(a.y, b.y) for a, b in zip(one, two, strict=True)
    )


def test_new_images_are_the_same_as_without_a_memory_and_come_first() -> None:
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


def test_remembered_images_are_drawn_without_replacement_if_there_are_enough() -> None:
    for count, size in ((30, 30), (4, 30), (30, 7)):
        memory = filled(count)
        mixed = ReplayBatches(new_images("none"), memory, size, TRANSFORM, augment="none")
        known = dict(zip(held(memory), memory.labels.tolist(), strict=True))
        for new, batch in zip(new_images("none").epoch(0, rng), mixed.epoch(0, rng), strict=True):
            old = Batch(batch.x[len(new) :], batch.y[len(new) :])
            numbers = [round(float(x[0, 0, 0] * 0.5 + 0.5) * 255) for x in old.x]
            assert [known[number] for number in numbers] == old.y.tolist()
            assert batch.rows is not None and new.rows is not None
            assert torch.equal(batch.rows[: len(new)], new.rows), "rows of new images"
            places = (batch.rows[len(new) :] + count).tolist()
            assert [held(memory)[place] for place in places] == numbers, "remembered ones count from the memory's end"
            assert batch.rows[len(new) :].lt(0).all()
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


def test_batches_of_features_are_mixed_with_features_of_remembered_images() -> None:
    memory = filled(30)
    features = torch.stack([memory.pixels[:, 0, 0, 0].float(), memory.labels.float()], 1)
    source = TensorBatches(torch.zeros(20, 2), torch.zeros(20, dtype=torch.long), 8)
    source.flops_per_item = 7.0
    mixed = ReplayBatches(source, memory, 5, TRANSFORM, features=features)
    assert mixed.flops_per_item == 7.0
    for batch in mixed.epoch(0, rng):
        old = batch.x[-5:]
        assert torch.equal(old[:, 1].long(), batch.y[-5:]) and (old[:, 0] >= 100).all()
