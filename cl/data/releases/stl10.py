"""STL-10: ten kinds of objects, 96 x 96 pixels; 500 training and 800 test images of each.

The 100,000 images without labels are not read; neither are the ten folds of the training images.
"""

from __future__ import annotations

import numpy as np

from cl.data.official.files import Files
from cl.data.official.listing import Examples, Listing, arrays
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release
from cl.errors import DataError

_FOLDER = "stl10_binary"
_SIDE = 96


def _read(files: Files) -> Listing:
    names = tuple(files.lines(f"{_FOLDER}/class_names.txt"))
    return Listing(names, {split: _split(files, split, len(names)) for split in ("train", "test")})


def _split(files: Files, split: str, classes: int) -> Examples:
    """X has the images one after the other, each colour's plane by columns; y their labels, counted from 1."""
    pixels = np.frombuffer(files.read(f"{_FOLDER}/{split}_X.bin"), np.uint8)
    labels = np.frombuffer(files.read(f"{_FOLDER}/{split}_y.bin"), np.uint8).astype(np.int64) - 1
    if len(pixels) != 3 * _SIDE * _SIDE * len(labels):
        raise DataError(f"{split}_X.bin and {split}_y.bin of {files.where} do not fit each other; get both again.")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise DataError(f"{split}_y.bin of {files.where} has labels other than 1 to {classes}; get it again.")
    return arrays(pixels.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 3, 2, 1), labels)


RELEASE = Release(
    name="stl10",
    title="STL-10",
    files=(
        OfficialFile(
            "stl10_binary.tar.gz",
            ("http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",),
            md5="91f7769df0f17e558f3565bffb0c7dfb",
            holds=(
                *(f"{_FOLDER}/{split}_{part}.bin" for split in ("train", "test") for part in "Xy"),
                f"{_FOLDER}/class_names.txt",
            ),
        ),
    ),
    read=_read,
    classes=10,
    images=13_000,
    licence="none stated; images of ImageNet",
    citation="Coates, Lee, Ng, An Analysis of Single-Layer Networks in Unsupervised Feature Learning, AISTATS 2011",
    page="https://cs.stanford.edu/~acoates/stl10/",
    checked=TORCHVISIONS,
)
