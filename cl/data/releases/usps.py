"""USPS: handwritten digits of ZIP codes, 16 px, grey, in LIBSVM's files.

Values from -1 to 1 become levels from 0 to 255, rounded down, as in NEVIS'22 and torchvision.
"""

from __future__ import annotations

import bz2
import io

import numpy as np

from cl.data.official.files import Files
from cl.data.official.listing import Examples, Listing, arrays
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release
from cl.errors import DataError

_SITE = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass"
_FILES = {"train": "usps.bz2", "test": "usps.t.bz2"}
_SIDE = 16
_MOST = 1 << 28
"""Largest file read, in bytes unpacked; the larger has 27 million."""


def _read(files: Files) -> Listing:
    return Listing(tuple("0123456789"), {split: _digits(files, name) for split, name in _FILES.items()})


def _digits(files: Files, name: str) -> Examples:
    """A line is the digit, counted from 1, and 256 pairs of place and value."""
    try:
        with bz2.open(io.BytesIO(files.read(name))) as file:
            lines = file.read(_MOST).decode("ascii").splitlines()
        pixels = np.empty((len(lines), _SIDE * _SIDE), np.float32)
        labels = np.empty(len(lines), np.int64)
        for row, line in enumerate(lines):
            digit, *values = line.split()
            labels[row] = int(digit) - 1
            pixels[row] = [float(value.partition(":")[2]) for value in values]
    except (OSError, EOFError, ValueError) as error:
        raise DataError(
            f"Cannot read {name} of {files.where}: it is truncated, damaged or in another format ({error}); get it "
            "again."
        ) from error
    return arrays(((pixels + 1) / 2 * 255).astype(np.uint8).reshape(-1, _SIDE, _SIDE), labels)


RELEASE = Release(
    name="usps",
    title="USPS",
    files=(
        OfficialFile("usps.bz2", (f"{_SITE}/usps.bz2",), md5="ec16c51db3855ca6c91edd34d0e9b197"),
        OfficialFile("usps.t.bz2", (f"{_SITE}/usps.t.bz2",), md5="8ea070ee2aca1ac39742fdd1ef5ed118"),
    ),
    folders=("USPS",),
    read=_read,
    classes=10,
    images=9_298,
    licence="none stated; research",
    citation="Hull, A Database for Handwritten Text Recognition Research, TPAMI 1994",
    page=f"{_SITE}.html#usps",
    checked=TORCHVISIONS,
)
