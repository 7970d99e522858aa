"""IDX files: what they hold, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from cl.data.idx import read_idx, read_idx_files
from cl.data.store import ImageStore
from cl.errors import DataError
from tests.help.idx import arrays, idx, write

NAMES = tuple("0123456789")


@pytest.mark.parametrize("zipped", [False, True])
def test_four_files_are_a_dataset(tmp_path: Path, zipped: bool) -> None:
    content = read_idx_files(write(tmp_path, zipped=zipped), NAMES)
    made = arrays()
    for split, store in content.splits.items():
        assert store.fingerprint == ImageStore.from_arrays(*made[split]).fingerprint
        assert store.image_shape == (28, 28, 1)
    assert content.class_names == NAMES


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data[:-1], "it declares 60 x 28 x 28 values and has 47,039"),
        (lambda data: b"", "does not begin as an IDX file of bytes in 3 dimensions"),
        (lambda data: data[:2] + b"\x0d" + data[3:], "does not begin as an IDX file"),
        (lambda data: data[:3] + b"\x01" + data[4:], "does not begin as an IDX file"),
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path: Path, change: object, why: str) -> None:
    path = tmp_path / "images"
    path.write_bytes(change(idx(arrays()["train"][0])))  # type: ignore[operator]
    with pytest.raises(DataError, match=why) as caught:
        read_idx(path, 3)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_truncated_gz_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(idx(arrays()["train"][0]))[:-20])
    with pytest.raises(DataError, match=r"images.gz: it is truncated, damaged"):
        read_idx(path, 3)
    path.write_bytes(b"no gzip")
    with pytest.raises(DataError, match=r"images.gz: it is truncated, damaged"):
        read_idx(path, 3)
    with pytest.raises(DataError, match="No such file"):
        read_idx(tmp_path / "none", 1)


def test_images_and_labels_must_fit(tmp_path: Path) -> None:
    paths = write(tmp_path, zipped=False)
    paths[3].write_bytes(idx(np.zeros(19)))
    with pytest.raises(DataError, match=r"20 images and .* 19 labels"):
        read_idx_files(paths, NAMES)
    paths = write(tmp_path, zipped=False)
    with pytest.raises(DataError, match="has a label above 8"):
        read_idx_files(paths, NAMES[:-1])


def test_one_dimension_is_in_the_singular(tmp_path: Path) -> None:
    (tmp_path / "labels").write_bytes(b"")
    with pytest.raises(DataError, match=r"bytes in 1 dimension does\)"):
        read_idx(tmp_path / "labels", 1)
