"""Small NORB: toys of five categories under 9 elevations, 18 azimuths and 6 lightings, grey, 96 x 96 pixels.

The authors train on five toys of each category and test on five others. A pair has the images of two cameras; the first
is used, as in NEVIS'22. Its validation set ("dev-test") is kept: the training images of toy 6, so that it too has toys
that are not learned. NEVIS'22 also chooses on toy 4 alone ("dev"), which is a training toy here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cl.data.official.files import Files
from cl.data.official.listing import Listing, arrays
from cl.data.official.release import MINIATURE, OfficialFile, Release
from cl.errors import DataError

CLASSES = ("four-legged animal", "human figure", "airplane", "truck", "car")
_SITE = "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/"
_PARTS = {
    "train": "smallnorb-5x46789x9x18x6x2x96x96-training",
    "test": "smallnorb-5x01235x9x18x6x2x96x96-testing",
}
_VALIDATED = 6
"""The toy of the validation images."""
_TYPES: dict[int, np.dtype[Any]] = {0x1E3D4C55: np.dtype("u1"), 0x1E3D4C54: np.dtype("<i4")}
"""The types of numbers of a matrix by its first four bytes."""


def _read(files: Files) -> Listing:
    found = {split: (_pixels(files, part), *_labels(files, part)) for split, part in _PARTS.items()}
    pixels, labels, toys = found["train"]
    learned, validated = np.flatnonzero(toys != _VALIDATED), np.flatnonzero(toys == _VALIDATED)
    return Listing(
        CLASSES,
        {
            "train": arrays(pixels[learned], labels[learned]),
            "val": arrays(pixels[validated], labels[validated]),
            "test": arrays(*found["test"][:2]),
        },
    )


def _pixels(files: Files, part: str) -> np.ndarray:
    """The images of the first camera, uint8 [N, 96, 96]."""
    pairs = matrix(files, f"{part}-dat.mat")
    if pairs.ndim != 4 or pairs.dtype != np.uint8 or pairs.shape[1] != 2:
        raise DataError(f"{part}-dat.mat of {files.where} has no pairs of images; get it again.")
    return pairs[:, 0].copy()  # which frees the other half


def _labels(files: Files, part: str) -> tuple[np.ndarray, np.ndarray]:
    """The categories and the toys, int64 [N] each."""
    labels = matrix(files, f"{part}-cat.mat").reshape(-1).astype(np.int64)
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(CLASSES):
        raise DataError(f"{part}-cat.mat of {files.where} has categories above {len(CLASSES) - 1}; get it again.")
    about = matrix(files, f"{part}-info.mat")
    if about.ndim != 2 or len(about) != len(labels):
        raise DataError(f"{part}-info.mat of {files.where} has not one row for each image; get it again.")
    return labels, about[:, 0].astype(np.int64)


def matrix(files: Files, name: str) -> np.ndarray:
    """A matrix in the authors' format: its type, its number of dimensions, at least three sizes, its numbers.

    Raises `DataError` for a file that is damaged or of another format.
    """
    data = files.read(name)
    start = np.frombuffer(data[:24], "<i4", count=min(len(data), 24) // 4)
    kind = _TYPES.get(int(start[0])) if len(start) else None
    dimensions = int(start[1]) if kind is not None and len(start) > 1 else 0
    if kind is None or not 1 <= dimensions <= 4 or len(data) < 8 + 4 * max(3, dimensions):
        raise DataError(f"{name} of {files.where} is no matrix of NORB; get it again.")
    shape = [int(each) for each in start[2 : 2 + dimensions]]
    offset, count = 8 + 4 * max(3, dimensions), int(np.prod(shape))
    if len(data) - offset != count * kind.itemsize:
        raise DataError(f"{name} of {files.where} is cut off; get it again.")
    return np.frombuffer(data, kind, count, offset).reshape(shape)


RELEASE = Release(
    name="smallnorb",
    title="Small NORB",
    files=tuple(
        OfficialFile(f"{part}-{kind}.mat.gz", (f"{_SITE}{part}-{kind}.mat.gz",), holds=(f"{part}-{kind}.mat",))
        for part in _PARTS.values()
        for kind in ("dat", "cat", "info")
    ),
    read=_read,
    classes=5,
    images=48_600,
    licence="research; no commercial use",
    citation="LeCun, Huang, Bottou, Learning Methods for Generic Object Recognition, CVPR 2004",
    page=_SITE,
    checked=MINIATURE,
)
