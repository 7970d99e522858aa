"""Landsat (Statlog): patches of 3 x 3 pixels of satellite images in four spectral bands; the soil of the middle pixel.

A line of sat.trn and sat.tst has 36 values, the bands of each pixel after each other, and the class. The first three
bands are the channels of an image, as in NEVIS'22; the fourth is left out. The authors number seven classes; there is
no example of the sixth.
"""

from __future__ import annotations

import numpy as np

from cl.data.official.files import Files
from cl.data.official.listing import Examples, Listing, arrays
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.errors import DataError

_UCI = "https://archive.ics.uci.edu"
_SITE = f"{_UCI}/ml/machine-learning-databases/statlog/satimage"
_SOILS = (
    "red soil",
    "cotton crop",
    "grey soil",
    "damp grey soil",
    "soil with vegetation stubble",
    "mixture class",
    "very damp grey soil",
)
_SIDE, _BANDS = 3, 4


def _read(files: Files) -> Listing:
    return Listing(_SOILS, {"train": _patches(files, "sat.trn"), "test": _patches(files, "sat.tst")})


def _patches(files: Files, name: str) -> Examples:
    try:
        values = np.array([line.split() for line in files.lines(name)], np.int64)
        if values.ndim != 2 or values.shape[1] != _SIDE * _SIDE * _BANDS + 1 or values.min() < 0 or values.max() > 255:
            raise ValueError(f"a line has {_SIDE * _SIDE * _BANDS} values from 0 to 255 and a class")
        if not 1 <= values[:, -1].min() <= values[:, -1].max() <= len(_SOILS):
            raise ValueError(f"a class is a number from 1 to {len(_SOILS)}")
    except ValueError as error:
        raise DataError(f"{name} of {files.where} is damaged or another file ({error}); get it again.") from error
    pixels = values[:, :-1].reshape(-1, _SIDE, _SIDE, _BANDS)[..., :3].astype(np.uint8)
    return arrays(pixels, values[:, -1] - 1)


RELEASE = Release(
    name="landsat",
    title="Landsat (Statlog)",
    files=(
        OfficialFile("sat.trn", (f"{_SITE}/sat.trn",), md5="2c5ba2900da0183cab2c41fdb279fa5b"),
        OfficialFile("sat.tst", (f"{_SITE}/sat.tst",), md5="02c995991fecc864e809b2c4c42cd983"),
    ),
    also=(
        (
            OfficialFile(
                "statlog+landsat+satellite.zip",
                (f"{_UCI}/static/public/146/statlog+landsat+satellite.zip",),
                holds=("sat.trn", "sat.tst"),
            ),
        ),
    ),
    read=_read,
    classes=len(_SOILS),
    images=6_435,
    licence="CC BY 4.0",
    citation="Srinivasan, Statlog (Landsat Satellite), UCI Machine Learning Repository, 1993",
    page=f"{_UCI}/dataset/146/statlog+landsat+satellite",
    checked=HANDLERS,
)
