"""Task sizes, images per class, and options that cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cl.data.store import Dataset, ImageStore
from cl.errors import DataError, UsageError
from cl.settings.class_incremental import (
    IncrementalOptions,
    check_options,
    class_incremental,
    task_sizes,
    with_defaults,
)


@pytest.mark.parametrize(
    ("n", "options", "sizes"),
    [
        (100, {"increment": 10}, [10] * 10),
        (100, {"base": 50, "increment": 10}, [50] + [10] * 5),
        (196, {"increment": 20}, [20] * 9 + [16]),
        (196, {"base": 16, "increment": 20}, [16] + [20] * 9),
        (10, {"tasks": 3}, [4, 3, 3]),
        (10, {"tasks": 3, "base": 4}, [4, 3, 3]),
        (10, {"tasks": 1}, [10]),
        (10, {"tasks": 10}, [1] * 10),
        (10, {"base": 10, "increment": 3}, [10]),
        (10, {"base": 10, "tasks": 1}, [10]),
        (10, {}, [10]),
    ],
)
def test_task_sizes(n: int, options: dict[str, int], sizes: list[int]) -> None:
    assert task_sizes(n, IncrementalOptions(**options)) == sizes  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("n", "options", "usual", "sizes"),
    [
        (12, {}, {"tasks": 5}, [3, 3, 2, 2, 2]),
        (9, {}, {"tasks": 5}, [3, 2, 2, 2]),
        (4, {}, {"tasks": 4}, [2, 2]),
        (3, {}, {"tasks": 3}, [3]),
        (1, {}, {"tasks": 1}, [1]),
        (6, {"base": 1}, {"tasks": 5}, [1, 3, 2]),
        (6, {"base": 5}, {"tasks": 2}, [5, 1]),
        (101, {}, {"increment": 20}, [21, 20, 20, 20, 20]),
        (100, {}, {"increment": 20}, [20] * 5),
        (4, {}, {"increment": 1}, [1] * 4),
        (4, {"increment": 1}, {"tasks": 5}, [1] * 4),
        (4, {"tasks": 4}, {"tasks": 5}, [1] * 4),
    ],
)
def test_default_tasks_have_two_classes_unless_single_ones_are_asked_for(
    n: int, options: dict[str, int], usual: dict[str, int], sizes: list[int]
) -> None:
    chosen = with_defaults(IncrementalOptions(**options), n, **usual)  # type: ignore[arg-type]
    assert task_sizes(n, chosen) == sizes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": 5, "increment": 2}, "either tasks or increment"),
        ({"tasks": 11}, "tasks=11 does not fit 10 classes with base=0; choose 1..10"),
        ({"tasks": 0}, "choose 1..10"),
        ({"tasks": 1, "base": 5}, "choose 2..6"),
        ({"tasks": 2, "base": 10}, "choose 1..1"),
        ({"base": 11}, "base=11 must be in 0..10"),
        ({"base": -1}, "base=-1 must be in 0..10"),
        ({"increment": 0}, "must be at least 1"),
        ({"increment": 11}, "more than the 10 classes"),
        ({"order": "pycill"}, "Unknown class order 'pycill'.*Did you mean pycil"),
        ({"order_seed": -1}, "order seed must be in"),
        ({"evaluate_on": "some"}, "'seen' or 'all'"),
        ({"val_fraction": 1.0}, "below 1"),
        ({"val_fraction": -0.1}, "at least 0"),
        ({"train_per_class": 0}, "train_per_class=0 must be"),
        ({"train_per_class": 1.5}, "train_per_class=1.5 must be"),
        ({"test_per_class": -3}, "test_per_class=-3 must be"),
        ({"test_per_class": float("nan")}, "test_per_class=nan must be"),
    ],
)
def test_options_that_cannot_be_are_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        check_options(IncrementalOptions(**options), 10)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2


def store(per_class: list[int]) -> ImageStore:
    labels = np.repeat(np.arange(len(per_class)), per_class)
    return ImageStore.from_arrays(np.random.default_rng(0).integers(0, 256, (len(labels), 2, 2, 1), np.uint8), labels)


def build(train: list[int], test: list[int], **options: Any) -> Any:
    names = tuple(f"c{i}" for i in range(len(train)))
    data = Dataset("toy", store(train), store(test), names, origin="test")
    options = {"tasks": 1, "order": "natural", **options}
    return class_incremental(data, IncrementalOptions(**options), name="toy", version="1", order_seed=0, data_seed=0)


@pytest.mark.parametrize(
    ("limit", "sizes"), [(3, [3, 3, 2]), (0.5, [5, 4, 1]), (1.0, [10, 8, 2]), (1, [1, 1, 1]), (0.01, [1, 1, 1])]
)
def test_images_per_class_are_the_first_in_canonical_order(limit: int | float, sizes: list[int]) -> None:
    toy = build([10, 8, 2], [1, 1, 1], train_per_class=limit)
    rows, labels = toy.experiences[0].train, toy.dataset.train.labels
    assert np.bincount(labels[rows]).tolist() == sizes
    for label in range(3):
        first = int(np.flatnonzero(labels == label)[0])
        assert rows[labels[rows] == label].tolist() == list(range(first, first + sizes[label]))
    assert len(build([1, 1, 1], [10, 8, 2], test_per_class=limit).groups[0].rows["test"]) == sum(sizes)


def test_a_class_with_one_training_image_is_never_validated_on() -> None:
    toy = build([1, 2, 10], [1, 1, 1], val_fraction=0.3)
    labels = toy.dataset.train.labels
    assert np.bincount(labels[toy.experiences[0].train], minlength=3).tolist() == [1, 1, 7]
    assert np.bincount(labels[toy.experiences[0].val], minlength=3).tolist() == [0, 1, 3]


def test_a_class_without_images_is_an_error() -> None:
    with pytest.raises(DataError, match="Class 'c1' of toy has no test images"):
        build([1, 1, 1], [1, 0, 1])
