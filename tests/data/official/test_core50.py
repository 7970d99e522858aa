"""CORe50's tree and array. Pickles that are refused are tested in tests/streams/test_standard_layouts.py."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cl.data.official.core50 import sessions
from cl.data.official.files import Files, Folder, open_source
from cl.errors import DataError

NAMES = ["s1/o2/C_01_02_000.png", "s3/o2/C_03_02_000.png", "s1/o10/C_01_10_000.png", "s10/o50/C_10_50_000.png"]


def tree(root: Path) -> Files:
    for value, name in enumerate(NAMES):
        path = root / "core50_128x128" / name
        path.parent.mkdir(parents=True)
        Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(path)
    return Files([Folder(root, ("",))], "here")


def array(root: Path, pixels: np.ndarray | None = None) -> Files:
    every = np.repeat(np.arange(4, dtype=np.uint8), 48).reshape(4, 4, 4, 3)
    np.savez_compressed(root / "core50_imgs.npz", x=every if pixels is None else pixels)
    (root / "paths.pkl").write_bytes(pickle.dumps(NAMES, protocol=0))
    return Files([open_source(root / "core50_imgs.npz"), open_source(root / "paths.pkl")], "here")


@pytest.mark.parametrize("form", [tree, array])
@pytest.mark.usefixtures("isolated")
def test_both_forms_are_the_same(form: object, tmp_path: Path) -> None:
    assert callable(form)
    files = form(tmp_path)
    listing = sessions(files)
    assert listing.class_names[:2] == ("o1", "o2") and len(listing.class_names) == 50
    assert sorted(listing.splits["train"].labels.tolist()) == [1, 9]
    assert sorted(listing.splits["test"].labels.tolist()) == [1, 49]
    one = sessions(files, ("s10",)).splits
    assert list(one) == ["all"] and one["all"].labels.tolist() == [49]
    assert one["all"].decode(0)[0, 0].tolist() == [3, 3, 3], "session 10 is not session 1"


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4, 4, 3)), np.zeros((4, 4, 4), np.uint8), np.zeros((3, 4, 4, 3), np.uint8)]
)
@pytest.mark.usefixtures("isolated")
def test_another_array_is_one_sentence(pixels: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^x\.npy of here holds .* not the 4 images of paths\.pkl; get both again\.$"):
        sessions(array(tmp_path, pixels))
