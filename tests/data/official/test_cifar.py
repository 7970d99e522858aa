"""CIFAR's batches: the order of pixels, and batches that are refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.data.official.cifar import batches
from cl.data.official.files import Files, Folder
from cl.data.readers import CifarLayout
from cl.errors import DataError

LAYOUT = CifarLayout("cifar", ("one", "two"), ("test",), "meta", "labels", "names")
ROWS = np.arange(2 * 3072).astype(np.uint8).reshape(2, 3072)


def written(tmp_path: Path, **changes: dict[str, Any]) -> Files:
    batch = {"data": ROWS, "labels": [1, 0]}
    content: dict[str, dict[str, Any]] = {"one": batch, "two": batch, "test": batch, "meta": {"names": ["cat", "dog"]}}
    (tmp_path / "cifar").mkdir()
    for name, value in (content | changes).items():
        (tmp_path / "cifar" / name).write_bytes(pickle.dumps(value, protocol=2))
    return Files([Folder(tmp_path, ("cifar",))], "the folder")


def test_batches_follow_each_other_and_a_row_has_red_green_and_blue(tmp_path: Path) -> None:
    found = batches(written(tmp_path, two={"data": ROWS[:1] + 1, "labels": [1]}), LAYOUT)
    assert found.class_names == ("cat", "dog")
    assert {split: each.labels.tolist() for split, each in found.splits.items()} == {"train": [1, 0, 1], "test": [1, 0]}
    image = found.splits["train"].decode(0)
    assert image.shape == (32, 32, 3)
    assert image[1, 2].tolist() == ROWS[0, [34, 34 + 1024, 34 + 2048]].tolist()
    assert (found.splits["train"].decode(2) == image + 1).all()


@pytest.mark.parametrize(
    ("batch", "why"),
    [
        ({"data": ROWS}, "is another CIFAR batch"),
        ({"data": ROWS[:, :100], "labels": [1, 0]}, "is another CIFAR batch"),
        ({"data": ROWS, "labels": ["x", "y"]}, "is another CIFAR batch"),
        ({"data": ROWS, "labels": [1, 0, 1]}, "another number of labels"),
        ({"data": ROWS, "labels": [1, 2]}, "a label above 1"),
    ],
)
def test_another_batch_is_one_sentence(tmp_path: Path, batch: dict[str, Any], why: str) -> None:
    with pytest.raises(DataError, match=f"cifar/test of the folder.*{why}"):
        batches(written(tmp_path, test=batch), LAYOUT)


def test_a_file_without_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no names"):
        batches(written(tmp_path, meta={"other": 1}), LAYOUT)
