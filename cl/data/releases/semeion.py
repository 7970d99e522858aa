"""Semeion: digits written by about 80 people, 16 px, in two levels."""

from __future__ import annotations

import numpy as np

from cl.data.official.files import Files
from cl.data.official.listing import Listing, arrays
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release
from cl.errors import DataError

_SIDE, _CLASSES = 16, 10


def _read(files: Files) -> Listing:
    """A line has 256 pixels, 0 or 1, and then a 1 in the column of its digit."""
    try:
        table = np.array([[float(value) for value in line.split()] for line in files.lines("semeion.data")])
        if table.shape[1:] != (_SIDE * _SIDE + _CLASSES,) or not np.isin(table, (0, 1)).all():
            raise ValueError(f"it should have {_SIDE * _SIDE + _CLASSES} columns of 0 and 1")
        pixels, digits = table[:, :-_CLASSES], table[:, -_CLASSES:]
        if (digits.sum(1) != 1).any():
            raise ValueError("a line has no digit or several")
    except ValueError as error:
        raise DataError(f"semeion.data of {files.where} is truncated or damaged ({error}); get it again.") from error
    images = (pixels * 255).astype(np.uint8).reshape(-1, _SIDE, _SIDE)
    return Listing(tuple("0123456789"), {"all": arrays(images, digits.argmax(1).astype(np.int64))})


RELEASE = Release(
    name="semeion",
    title="Semeion",
    files=(
        OfficialFile(
            "semeion.data",
            (
                "https://archive.ics.uci.edu/ml/machine-learning-databases/semeion/semeion.data",
                "http://archive.ics.uci.edu/ml/machine-learning-databases/semeion/semeion.data",
            ),
            md5="cb545d371d2ce14ec121470795a77432",
        ),
    ),
    read=_read,
    classes=10,
    images=1_593,
    licence="CC BY 4.0",
    citation="Buscema, Terzi, Semeion Handwritten Digit, UCI Machine Learning Repository, 1994",
    page="https://archive.ics.uci.edu/dataset/178/semeion+handwritten+digit",
    checked=TORCHVISIONS,
)
