"""Datasets in IDX files, read through `Files`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cl.data.official.files import Files, Folder
from cl.data.official.idx import idx_files
from cl.errors import DataError
from tests.help.idx import arrays, idx, write

NAMES = tuple("0123456789")
MNIST = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def files(folder: Path) -> Files:
    return Files([Folder(folder, ("",))], str(folder))


def test_pixels_and_labels_are_those_of_the_files(tmp_path: Path) -> None:
    write(tmp_path, zipped=False)
    listing = idx_files(files(tmp_path), MNIST, NAMES)
    for split, (pixels, labels) in arrays().items():
        found = listing.splits[split]
        np.testing.assert_array_equal(found.labels, labels)
        np.testing.assert_array_equal(np.stack([found.decode(i) for i in range(len(found))])[..., 0], pixels)


@pytest.mark.parametrize(
    ("labels", "why"), [(np.arange(9), "60 images and train-labels-idx1-ubyte 9"), (np.full(60, 10), "a label above 9")]
)
def test_files_that_do_not_fit_are_refused(tmp_path: Path, labels: np.ndarray, why: str) -> None:
    write(tmp_path, zipped=False)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(labels))
    with pytest.raises(DataError, match=why):
        idx_files(files(tmp_path), MNIST, NAMES)


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, zipped=False)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03")
    with pytest.raises(DataError, match="Cannot read t10k-images-idx3-ubyte of"):
        idx_files(files(tmp_path), MNIST, NAMES)
