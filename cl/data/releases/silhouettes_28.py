"""Caltech 101 Silhouettes, 28 px: outlines of the objects of Caltech 101, filled, in two levels.

The background class of Caltech 101 is not part of it.

Differs from NEVIS'22's code: an image stands upright, column by column as MATLAB stores it; there rows and columns are
exchanged. The levels are 0 and 255; there they are 0 and 1 in every second split that is read.
"""

from __future__ import annotations

import numpy as np

from cl.data.official.files import Files
from cl.data.official.listing import Examples, Listing, arrays
from cl.data.official.matlab import numbers, texts, variable
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.errors import DataError

_SITE = "https://people.cs.umass.edu/~marlin/data/"
_ALL, _SPLIT = "caltech101_silhouettes_28.mat", "caltech101_silhouettes_28_split1.mat"
_SIDE = 28


def _read(files: Files) -> Listing:
    """The names of the classes are in the file without a split."""
    names = texts(files, _ALL, "classnames")
    return Listing(tuple(names), {split: _images(files, split, len(names)) for split in ("train", "val", "test")})


def _images(files: Files, split: str, classes: int) -> Examples:
    """The pixels are 0 or 1, [N, 784]; classes are counted from 1."""
    pixels = variable(files, _SPLIT, f"{split}_data")
    found = np.array(numbers(files, _SPLIT, f"{split}_labels"), np.int64) - 1
    if pixels.shape != (len(found), _SIDE * _SIDE) or not np.isin(found, range(classes)).all() or pixels.max() > 1:
        raise DataError(f"{_SPLIT} of {files.where} has other images or labels than published; get it again.")
    upright = pixels.reshape(-1, _SIDE, _SIDE).transpose(0, 2, 1)
    return arrays((upright * 255).astype(np.uint8), found)


RELEASE = Release(
    name="silhouettes_28",
    title="Caltech 101 Silhouettes",
    files=(
        OfficialFile(_ALL, (f"{_SITE}{_ALL}",), md5="1432d2809e8bf111f1104a234731ddb1"),
        OfficialFile(_SPLIT, (f"{_SITE}{_SPLIT}",), md5="4483e9c14b188fd09937f9ea6f9ea777"),
    ),
    folders=("caltech101_silhouettes",),
    read=_read,
    classes=101,
    images=8_671,
    licence="none stated; research",
    citation="Marlin, Swersky, Chen, de Freitas, Inductive Principles for Restricted Boltzmann Machine Learning, "
    "AISTATS 2010",
    page="https://people.cs.umass.edu/~marlin/data.shtml",
    checked=HANDLERS,
)
