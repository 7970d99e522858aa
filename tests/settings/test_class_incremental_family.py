"""`ClassIncremental`: a family that names its data and its sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from cl import registry
from cl.data.store import Dataset, ImageStore, Progress
from cl.errors import UsageError
from cl.family import make_stream
from cl.protocol import CLASS
from cl.settings.class_incremental import ClassIncremental, IncrementalOptions, class_incremental


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    registry.streams.unregister("mine")


class Mine(ClassIncremental):
    """Two grey classes."""

    name, version = "mine", "3"
    n_classes, usual = 2, {"increment": 1}

    def read(self, options: Any, argument: str, progress: Progress | None) -> Dataset:
        pixels = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 1), np.uint8)
        store = ImageStore.from_arrays(pixels, np.repeat([0, 1], 4))
        return Dataset("mine", store, store, ("a", "b"), origin="made here")


def test_a_class_incremental_family_says_names_sizes_and_images() -> None:
    registry.streams.register("mine", Mine)
    stream = make_stream("mine", order_seed=3)
    assert (stream.name, stream.version, stream.setting) == ("mine", "3", CLASS)
    assert stream.info.classes_per_task == (1, 1) and stream.options["increment"] == 1
    assert make_stream("mine", IncrementalOptions(tasks=1)).info.classes_per_task == (2,)
    same = class_incremental(
        Mine().read(None, "", None),
        IncrementalOptions(increment=1),
        name="mine",
        version="3",
        order_seed=3,
        data_seed=0,
    )
    assert same.id == stream.id


def test_options_are_checked_before_images_are_read() -> None:
    class Unread(Mine):
        def read(self, options: Any, argument: str, progress: Progress | None) -> Dataset:
            raise AssertionError("read")

    with pytest.raises(UsageError, match="tasks=3 does not fit 2 classes"):
        Unread().build(IncrementalOptions(tasks=3), order_seed=0, data_seed=0)
