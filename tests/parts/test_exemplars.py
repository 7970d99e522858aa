"""Exemplars: bounds in total and per class, in-place reservoirs, numbers beside images, sets for batches, means."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.backbone.transform import Transform
from cl.errors import ContractError
from cl.parts.exemplars import ABSENT, Draws, Exemplars, exemplar_means, hold_out, nearest_mean
from cl.parts.memory import herded
from cl.training import state
from cl.training.batches import Batch, ImageBatches, TensorBatches
from cl.training.generators import generator
from tests.parts.test_memory import held, images, rng

TRANSFORM = Transform(8, (0.5,) * 3, (0.5,) * 3)


def brute_force(features: Tensor, count: int) -> list[int]:
    """iCaRL's algorithm 4 as it is written: try every image that is left, in float64."""
    each = F.normalize(features.double(), dim=1)
    chosen: list[int] = []
    for _ in range(min(count, len(each))):
        left = [i for i in range(len(each)) if i not in chosen]
        gaps = [float((each.mean(0) - each[[*chosen, i]].mean(0)).norm()) for i in left]
        chosen.append(left[gaps.index(min(gaps))])
    return chosen


@pytest.mark.parametrize("count", [1, 7, 40])
def test_herding_equals_the_algorithm_as_it_is_written(count: int) -> None:
    features = torch.randn(25, 6, generator=generator(5, "features")) + 0.5
    assert herded(features, count).tolist() == brute_force(features, count)
    assert herded(features[:1], count).tolist() == [0], "one image"
    wide = features * torch.linspace(1, 1000, 25)[:, None]
    assert herded(wide, count).tolist() == brute_force(features, count), "features are normalised"


@pytest.mark.parametrize("policy", ["herding", "balanced"])
def test_a_memory_per_class_grows_with_the_classes(policy: str) -> None:
    memory = Exemplars(1, policy, per_class=3)
    for task, labels in enumerate(([0] * 5 + [1] * 2, [2] * 4)):
        new = images(labels, 20 * task)
        memory.add(new, generator(1, task), torch.randn(len(new), 4, generator=generator(2, task)))
    assert memory.labels.bincount().tolist() == [3, 2, 3], "a class of two images has two"
    assert memory.pixels.dtype == torch.uint8 and state.nbytes(memory.pixels) == 8 * 64 and memory.seen == 11
    with pytest.raises(ContractError, match="no bound per class"):
        Exemplars(5, "reservoir", per_class=2)


def test_a_memory_smaller_than_the_classes_holds_one_image_of_the_first() -> None:
    memory = Exemplars(3)
    for task in range(3):
        new = images([2 * task] * 4 + [2 * task + 1] * 4, 20 * task)
        memory.add(new, generator(1, task), torch.randn(8, 4, generator=generator(2, task)))
    assert memory.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("size", [3, 7, 40, 400])
def test_a_reservoir_in_place_is_algorithm_r(size: int) -> None:
    memory, slots, seen = Exemplars(size, "reservoir"), dict[int, int](), 0
    for step in range(12):
        memory.add(images([step % 4] * 9, 9 * step), generator(1, step))
        for drawn in torch.rand(9, generator=generator(1, step), dtype=torch.float64).tolist():
            slot = seen if seen < size else int(drawn * (seen + 1))
            if slot < size:
                slots[slot] = seen
            seen += 1
        assert held(memory) == [slots[slot] for slot in range(len(slots))] and memory.seen == seen
        assert memory.labels.tolist() == [number // 9 % 4 for number in held(memory)]
    before = memory.pixels.data_ptr()
    memory.add(images([0] * 9), generator(9, "more"))
    assert size == 400 or memory.pixels.data_ptr() == before, "written in place"


@pytest.mark.parametrize("policy", ["reservoir", "balanced"])
def test_numbers_stay_beside_their_images(policy: str) -> None:
    memory = Exemplars(10, policy, width=3)
    for step in range(5):
        new = images([step] * 8, 8 * step)
        values = torch.arange(8 * step, 8 * step + 8.0)[:, None].repeat(1, 2)
        memory.add(new, generator(1, step), values=None if step == 4 else values)
    known = memory.labels < 4
    assert known.any() and not known.all()
    assert memory.values[known, 0].tolist() == [number for number, own in zip(held(memory), known, strict=True) if own]
    assert memory.values[~known].isnan().all() and memory.values[:, 2].isnan().all(), "what was not given"


def test_a_restored_memory_does_not_write_into_the_state_it_came_from() -> None:
    memory, copy = Exemplars(4, "reservoir", width=1), Exemplars(4, "reservoir", width=1)
    memory.add(images([0] * 4), generator(0, "a"), values=torch.arange(4.0)[:, None])
    saved = memory.get_state()
    before = state.clone(saved)
    copy.set_state(saved)
    for each in (copy, memory):
        each.add(images([1] * 30, 50), generator(0, "b"), values=torch.ones(30, 1))
        if each is copy:
            assert all(torch.equal(torch.as_tensor(saved[key]), torch.as_tensor(before[key])) for key in saved)
    assert held(copy) == held(memory) and torch.equal(copy.values, memory.values)


def test_exemplars_join_batches_of_new_images() -> None:
    memory = Exemplars(6, "balanced")
    memory.add(images([0, 0, 1, 1, 1], 100), generator(0, "m"))
    old: Any = memory.subset(torch.tensor([0, 3, 4]))
    assert len(old) == 3 and old.labels.tolist() == memory.labels[[0, 3, 4]].tolist()
    batches = list(ImageBatches([images([2] * 6), old], 4, TRANSFORM).epoch(0, rng))
    numbers = [round(float(x[0, 0, 0] * 0.5 + 0.5) * 255) for batch in batches for x in batch.x]
    assert sorted(numbers) == sorted([*range(6), *(held(memory)[i] for i in (0, 3, 4))]), "each once"
    assert [len(batch) for batch in batches] == [4, 4, 1]


def test_each_draw_is_a_sample_of_its_own_and_an_empty_memory_gives_none() -> None:
    memory, source = Exemplars(50, "reservoir"), ImageBatches([images([0] * 12)], 4, TRANSFORM)
    mixed = Draws(source, memory, 3, TRANSFORM, draws=2)
    found: list[Batch] = []
    for batch in mixed.epoch(0, rng):
        found.append(batch)
        if len(found) == 2:  # the memory may change between steps
            memory.add(images([1] * 20, 100), generator(0, "m"))
    assert [len(batch) for batch in found] == [4, 4, 10]
    rows = found[2].rows
    assert rows is not None
    one, two = rows[4:7], rows[7:]
    assert (
        len(set(one.tolist())) == len(set(two.tolist())) == 3 and one.tolist() != two.tolist() and int(rows.min()) < 0
    )
    again = list(mixed.epoch(0, rng, 2))
    assert torch.equal(again[0].x, found[2].x)


def test_a_single_last_image_joins_the_batch_before_it() -> None:
    memory = Exemplars(9, "reservoir")
    memory.add(images([1] * 9, 50), generator(0, "m"))
    mixed = Draws(ImageBatches([images([0] * 9)], 4, TRANSFORM), memory, 3, TRANSFORM, draws=2)
    assert [len(batch) for batch in mixed.epoch(0, rng)] == [10, 10, 7] and mixed.steps == 3
    assert [len(batch) for batch in mixed.without_single().epoch(0, rng)] == [10, 11]


def test_features_of_remembered_images_are_numbers_beside_them() -> None:
    memory = Exemplars(9, "reservoir", width=3)
    memory.add(images([1] * 9, 50), generator(0, "m"), values=torch.arange(27.0).view(9, 3))
    source = TensorBatches(torch.zeros(4, 2), torch.zeros(4, dtype=torch.long), 4)
    (batch,) = Draws(source, memory, 5, TRANSFORM, width=2).epoch(0, rng)
    assert batch.rows is not None and torch.equal(batch.x[4:], memory.values[batch.rows[4:] + 9, :2])


def test_held_out_images_are_equally_many_of_each_class_and_one_stays() -> None:
    labels = torch.tensor([0, 1, 1, 0, 2, 0, 0, 1, 3, 3])
    train, out = hold_out(labels, 2, generator(0, "out"))
    assert labels[out].bincount(minlength=4).tolist() == [2, 2, 0, 1]
    assert sorted([*train.tolist(), *out.tolist()]) == list(range(10))
    assert hold_out(labels, 0, generator(0, "out"))[0].tolist() == list(range(10))
    assert [len(part) for part in hold_out(labels[:0], 3, generator(0, "out"))] == [0, 0]
    drawn = {tuple(hold_out(labels, 2, generator(seed, "out"))[1].tolist()) for seed in range(20)}
    assert len(drawn) > 5


def test_the_nearest_mean_of_exemplars() -> None:
    features = torch.tensor([[2.0, 0.0], [0.0, 5.0], [-1.0, 0.0]])
    means = exemplar_means(features, torch.tensor([0, 0, 2]), 4)
    half = 0.5**0.5
    assert torch.allclose(means, torch.tensor([[half, half], [0, 0], [-1, 0], [0, 0]]))
    scores = nearest_mean(torch.tensor([[3.0, 0.0], [-2.0, 0.0]]), means)
    assert torch.allclose(scores[:, 0], torch.tensor([2 * half - 2, -2 * half - 2]))
    assert (scores[:, [1, 3]] == ABSENT).all() and scores.amin() == ABSENT, "a class without exemplars comes last"
    one = F.normalize(torch.tensor([[3.0, 0.0]])) - means[0]
    assert float(scores[0, 0]) == pytest.approx(-float(one.square().sum()))
