"""Path MNIST: 5,000 tiles of tissue from colorectal cancer as 28 x 28 pixels, eight kinds of tissue.

Kaggle's "Colorectal Histology MNIST", made of the tiles of Kather et al.; not the PathMNIST of MedMNIST. Of its files
NEVIS'22 reads hmnist_28_28_RGB.csv: one row per image with its pixels, and its class from 1 to 8.
"""

from __future__ import annotations

import io

import numpy as np

from cl.data.official.files import Files
from cl.data.official.listing import Listing, arrays
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.errors import DataError

_TABLE = "hmnist_28_28_RGB.csv"
_PIXELS = 28 * 28 * 3
_CLASSES = ("tumour", "stroma", "complex", "lympho", "debris", "mucosa", "adipose", "empty")


def _read(files: Files) -> Listing:
    try:
        rows = np.loadtxt(io.StringIO(files.text(_TABLE)), np.int64, delimiter=",", skiprows=1, ndmin=2)
    except ValueError as error:
        raise DataError(f"Cannot read {_TABLE} of {files.where} ({error}); get it again.") from error
    if rows.shape[1] != _PIXELS + 1 or rows.min(initial=0) < 0 or rows.max(initial=0) > 255:
        raise DataError(f"{_TABLE} of {files.where} is no table of {_PIXELS:,} pixels and a class; get it again.")
    if len(rows) and not 1 <= rows[:, -1].min() <= rows[:, -1].max() <= len(_CLASSES):
        raise DataError(f"{_TABLE} of {files.where} has classes other than 1 to {len(_CLASSES)}; get it again.")
    return Listing(_CLASSES, {"all": arrays(rows[:, :-1].astype(np.uint8).reshape(-1, 28, 28, 3), rows[:, -1] - 1)})


RELEASE = Release(
    name="path_mnist",
    title="Path MNIST",
    files=(OfficialFile("colorectal-histology-mnist.zip", md5="e03501016bd54719567dfb954fe982fe", holds=(_TABLE,)),),
    read=_read,
    classes=8,
    images=5_000,
    licence="CC BY 4.0",
    citation="Kather et al., Multi-class texture analysis in colorectal cancer histology, Scientific Reports 6, 2016",
    page="https://www.kaggle.com/kmader/colorectal-histology-mnist",
    checked=HANDLERS,
    access="download https://www.kaggle.com/kmader/colorectal-histology-mnist (a Kaggle account is needed)",
    kaggle="kmader/colorectal-histology-mnist",
)
