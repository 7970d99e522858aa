"""Streams and views: identities, positions, and what a strategy cannot reach."""

from __future__ import annotations

import dataclasses
import gc
import json
import types
from typing import Any

import numpy as np
import pytest
import torch

from cl.data.store import Dataset, ImageStore
from cl.errors import ContractError
from cl.settings.class_incremental import IncrementalOptions, class_incremental
from cl.stream import Evaluate, Stream, Train
from cl.testing.multi_label import with_several_classes
from tests.conftest import tiny_stream


def dataset(n_classes: int = 6, train: int = 5, test: int = 3) -> Dataset:
    rng = np.random.default_rng(0)

    def store(per_class: int) -> ImageStore:
        labels = np.repeat(np.arange(n_classes), per_class)
        return ImageStore.from_arrays(rng.integers(0, 256, (len(labels), 4, 5, 3), np.uint8), labels)

    return Dataset("toy", store(train), store(test), tuple(f"class {i}" for i in range(n_classes)), origin="test")


def stream(order_seed: int = 1993, data_seed: int = 1993, data: Dataset | None = None, **options: Any) -> Stream:
    chosen = IncrementalOptions(**({"increment": 2} | options))
    return class_incremental(
        data or dataset(), chosen, name="toy", version="1", order_seed=order_seed, data_seed=data_seed
    )


def test_positions_follow_first_appearance_and_rows_partition_the_data() -> None:
    toy = stream()
    assert [experience.classes for experience in toy.experiences] == [(0, 1), (2, 3), (4, 5)]
    rows = np.concatenate([experience.train for experience in toy.experiences])
    assert sorted(rows) == list(range(30))
    for experience in toy.experiences:
        labels = toy.positions[toy.dataset.train.labels[experience.train]]
        assert set(labels) == set(experience.classes)
    assert [group.task for group in toy.groups] == [0, 1, 2]
    assert toy.info.class_names[0] == f"class {toy.class_order[0]}"
    assert toy.info.image_shape == (3, 4, 5)
    assert toy.info.classes_per_task == (2, 2, 2)


def test_events_of_seen_and_all() -> None:
    assert stream().events[:4] == (Train(0), Evaluate((0,)), Train(1), Evaluate((0, 1)))
    every = Evaluate((0, 1, 2))
    assert stream(evaluate_on="all").events == (every, Train(0), every, Train(1), every, Train(2), every)


def test_test_rows_carry_positions_and_groups() -> None:
    toy = stream()
    rows, labels, owner = toy.test_rows((2, 0))
    assert len(rows) == 12
    assert owner.tolist() == [2] * 6 + [0] * 6
    np.testing.assert_array_equal(toy.class_order[labels], toy.dataset.test.labels[rows])
    assert set(labels[owner == 0]) == {0, 1}
    with pytest.raises(ContractError, match="has no split 'val'; it has: test"):
        toy.test_rows((0,), "val")
    assert [len(part) for part in toy.test_rows(())] == [0, 0, 0]


def test_validation_images_come_from_training_and_leave_it() -> None:
    toy = stream(val_fraction=0.4)
    for index, experience in enumerate(toy.experiences):
        assert len(experience.val) == 4 and len(experience.train) == 6
        assert not set(experience.val) & set(experience.train)
        view = toy.view(index)
        assert view.val is not None and set(view.val.labels.tolist()) == set(experience.classes)
    rows, labels, _ = toy.test_rows((1,), "val")
    np.testing.assert_array_equal(toy.class_order[labels], toy.store("val").labels[rows])
    assert toy.store("val") is toy.dataset.train and toy.store("test") is toy.dataset.test


def test_the_identity_is_json_stable_and_separates_what_is_not_comparable() -> None:
    toy = stream()
    assert json.loads(json.dumps(toy.identity)) == toy.identity
    assert stream().id == toy.id == stream(data_seed=5).id == stream(tasks=3, increment=None).id
    assert stream(order="natural").id == stream(order="coda", order_seed=0).id
    others = [
        stream(order_seed=1),
        stream(increment=3),
        stream(val_fraction=0.4),
        stream(val_fraction=0.4, data_seed=5),
        stream(train_per_class=2),
        stream(test_per_class=2),
        stream(evaluate_on="all"),
        stream(data=dataset(train=6)),
    ]
    assert len({other.id for other in [toy, *others]}) == len(others) + 1


def test_pixels_and_labels_of_a_view() -> None:
    toy = stream()
    view = toy.view(1)
    assert (view.task, view.classes, view.seen, view.last) == (1, (2, 3), (0, 1, 2, 3), False)
    assert toy.view(2).last and view.past == () and view.val is None
    images = view.train
    assert len(images) == 10 and images.labels.dtype == torch.int64
    for index in ([3, 0], np.array([3, 0]), torch.tensor([3, 0])):
        pixels = images.pixels(index)
        assert pixels.dtype == torch.uint8 and pixels.shape == (2, 3, 4, 5) and pixels.is_contiguous()
        np.testing.assert_array_equal(pixels[1].permute(1, 2, 0), toy.dataset.train.pixels[images.rows[0]])
    assert images.pixels(slice(0, 4)).shape == (4, 3, 4, 5)
    pixels = images.pixels([0])
    pixels.zero_()
    assert images.pixels([0]).any()


def test_past_holds_the_training_images_of_every_earlier_experience() -> None:
    past = stream().view(2, past=True).past
    assert [set(images.labels.tolist()) for images in past] == [{0, 1}, {2, 3}]


def test_a_revoked_view_raises_wherever_it_is_touched() -> None:
    view = stream(val_fraction=0.4).view(1, past=True)
    kept = [view.train, view.val, *view.past]
    view.revoke()
    for images in kept:
        assert images is not None
        for use in (
            lambda images=images: images.labels,
            lambda images=images: images.pixels([0]),
            lambda images=images: images.rows,
            lambda images=images: images.store,
            lambda images=images: len(images),
        ):
            with pytest.raises(ContractError, match="Views die after learn"):
                use()


def reachable(start: object) -> list[object]:
    """Every object that can be reached from `start`, not walking into code, classes and modules."""
    skip = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)
    seen, queue, found = {id(start)}, [start], []
    while queue:
        current = queue.pop()
        found.append(current)
        inner = list(vars(current).values()) if hasattr(current, "__dict__") else []
        for child in [*gc.get_referents(current), *inner]:
            if id(child) not in seen and not isinstance(child, skip):
                seen.add(id(child))
                queue.append(child)
        if isinstance(current, np.ndarray) and current.base is not None and id(current.base) not in seen:
            seen.add(id(current.base))
            queue.append(current.base)
    return found


def test_nothing_that_hangs_on_a_view_reaches_test_pixels() -> None:
    toy = stream(val_fraction=0.4)
    forbidden = {
        id(toy),
        id(toy.dataset),
        id(toy.dataset.test),
        id(toy.dataset.test.pixels),
        id(toy.dataset.test.labels),
    }
    view = toy.view(2, past=True)
    found = {id(thing) for thing in reachable(view)}
    assert id(toy.dataset.train.pixels) in found
    assert not forbidden & found
    assert not [name for name in dir(view) if "test" in name]


# ------------------------------------------------------------------------------------- several classes per image


def test_a_view_gives_copies_of_tags_until_it_is_revoked() -> None:
    stream = with_several_classes(tiny_stream(val_fraction=0.25))
    view, plain = stream.view(0), stream.view(1)
    train, val = view.train.tags, view.val.tags if view.val is not None else None
    assert plain.train.tags is None and train is not None and val is not None
    assert train.dtype == torch.bool and train.shape == (len(view.train), len(view.classes))
    assert val.shape == (len(view.val or ()), len(view.classes))
    assert torch.equal(train.int().argmax(1) + view.classes[0], view.train.labels)
    train[:] = False
    again = view.train.tags
    assert again is not None and again.any()
    part = view.train.subset(torch.tensor([3, 1]))
    assert part.tags is not None and torch.equal(part.tags, again[[3, 1]])
    view.revoke()
    for images in (view.train, part):
        with pytest.raises(ContractError, match="die after learn"):
            _ = images.tags


def test_the_identity_covers_tags() -> None:
    stream = with_several_classes(tiny_stream())
    first = stream.experiences[0]
    assert first.tags is not None and "tags_sha256" not in tiny_stream().identity
    other = dataclasses.replace(first, tags=first.tags[:, ::-1])
    changed = dataclasses.replace(stream, experiences=(other, *stream.experiences[1:]))
    assert changed.id != stream.id and changed.identity["fingerprints"] == stream.identity["fingerprints"]


def test_several_classes_need_a_task_incremental_stream() -> None:
    with pytest.raises(ContractError, match="need the setting task-incremental"):
        dataclasses.replace(with_several_classes(tiny_stream()), setting="class-incremental")
