"""Families whose classes are known once the images are read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cl.data.store import Dataset, ImageStore, Progress
from cl.errors import UsageError
from cl.settings.read_first import OwnOptions, ReadFirst, with_size, with_tasks


class Noise(ReadFirst):
    """A dataset of noise with as many classes as the argument says."""

    def read(self, options: Any, argument: str, progress: Progress | None) -> Dataset:
        count = int(argument)
        labels = np.repeat(np.arange(count), 2)
        pixels = np.random.default_rng(0).integers(0, 256, (2 * count, options.size, options.size, 3), np.uint8)
        store = ImageStore.from_arrays(pixels, labels)
        return Dataset("noise", store, store, tuple(map(str, range(count))), "here")

    def title(self, argument: str) -> str:
        return f"noise:{argument}"


def made(count: int, **options: Any) -> Any:
    return Noise().build(OwnOptions(**options), order_seed=1, data_seed=1, argument=str(count))


def test_tasks_are_filled_in_once_the_classes_are_known() -> None:
    assert made(4, size=4).info.classes_per_task == (2, 2) and made(20, size=4).info.classes_per_task == (4,) * 5
    assert made(4, size=4, sizes=(1, 3)).info.classes_per_task == (1, 3)
    assert made(4).info.image_shape == (3, 224, 224)
    assert made(4, size=4).identity["options"]["test_fraction"] == 0.2
    with pytest.raises(UsageError, match="noise:1 has a single class; a stream needs at least two"):
        made(1)


def test_options_that_do_not_fit() -> None:
    assert with_size(OwnOptions(), 7).size == 7 and with_size(OwnOptions(size=9), 7).size == 9
    for wrong in ({"size": 0}, {"size": 5000}, {"test_fraction": 0.0}):
        with pytest.raises(UsageError):
            with_size(OwnOptions(**wrong), 7)
    assert with_tasks(OwnOptions(base=3), 8).tasks == 3
    with pytest.raises(UsageError, match="sizes=1,2 has 3 classes, and there are 8; let the sizes add up to 8"):
        with_tasks(OwnOptions(sizes=(1, 2)), 8)
    with pytest.raises(UsageError, match="sizes gives the classes of each task; leave tasks, base and increment out"):
        with_tasks(OwnOptions(sizes=(1, 7), tasks=2), 8)
