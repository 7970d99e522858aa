"""IDX files of a release: images and labels by split, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cl.data.official.files import Files, Folder
from cl.data.official.idx import idx_files
from cl.errors import DataError
from tests.help.idx import idx

SPLITS = {"train": ("a-images", "a-labels"), "test": ("b-images", "b-labels")}
IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


def written(folder: Path) -> Files:
    for name, count in (("a", 3), ("b", 2)):
        (folder / f"{name}-images").write_bytes(idx(IMAGES[:count]))
        (folder / f"{name}-labels").write_bytes(idx(np.arange(count)))
    return Files([Folder(folder, ("",))], "here")


def test_images_and_labels_of_each_split(tmp_path: Path) -> None:
    listing = idx_files(written(tmp_path), SPLITS, ("zero", "one", "two"))
    assert listing.class_names == ("zero", "one", "two")
    assert {split: found.labels.tolist() for split, found in listing.splits.items()} == {
        "train": [0, 1, 2],
        "test": [0, 1],
    }
    assert np.array_equal(listing.splits["train"].decode(2), IMAGES[2][..., None])


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    files = written(tmp_path)
    with pytest.raises(DataError, match="a-labels of here has a label above 1"):
        idx_files(files, SPLITS, ("zero", "one"))
    (tmp_path / "b-labels").write_bytes(idx(np.arange(3)))
    with pytest.raises(DataError, match="b-images of here has 2 images and b-labels 3 labels"):
        idx_files(files, SPLITS, ("zero", "one", "two"))
    (tmp_path / "b-labels").write_bytes(b"\0\0\x08\1")
    with pytest.raises(DataError, match="Cannot read b-labels of here: it does not begin as an IDX file"):
        idx_files(files, SPLITS, ("zero", "one", "two"))
