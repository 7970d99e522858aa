"""Tampere Image Databases: reference images, each distorted in several ways and strengths."""

from __future__ import annotations

import numpy as np

from cl.data.official.files import Files
from cl.data.official.listing import Listing, image_files
from cl.errors import DataError, counted

REFERENCES = 25
CLASSES = tuple(f"quality {each} of 5" for each in range(1, 6))
"""From the most to the least distorted fifth."""


def by_quality(files: Files, distortions: int, levels: int) -> Listing:
    """The distorted images in five classes of quality with the same number of images each.

    The quality is the similarity to the reference as MSSIM.txt of the authors has it, a number per line: by reference,
    then by distortion, then by level. Of equal numbers across a border, all are in the lower class. Raises `DataError`.
    """
    values = _values(files, REFERENCES * distortions * levels)
    ordered = np.sort(values)
    share = len(values) // len(CLASSES)
    names, labels = [], []
    for name, found in files.match(r"(?:.*/)?[iI](\d\d)_(\d\d)_(\d)\.(?:bmp|BMP)"):
        reference, distortion, level = (int(each) for each in found.groups())
        if not (1 <= reference <= REFERENCES and 1 <= distortion <= distortions and 1 <= level <= levels):
            raise DataError(f"{name} of {files.where} is no image of this database; get the whole database again.")
        value = values[((reference - 1) * distortions + distortion - 1) * levels + level - 1]
        names.append(name)
        labels.append(int(np.searchsorted(ordered, value)) // share)
    return Listing(CLASSES, {"all": image_files(files, names, np.array(labels, np.int64))})


def _values(files: Files, count: int) -> np.ndarray:
    name, _ = next(files.match(r"(?:.*/)?(?i:MSSIM\.txt)"))
    lines = files.lines(name)
    try:
        values = np.array([float(line) for line in lines])
    except ValueError as error:
        raise DataError(f"{name} of {files.where} has a line that is no number ({error}); get it again.") from error
    if len(values) != count:
        raise DataError(
            f"{name} of {files.where} has {counted(len(values), 'number')}, expected {count:,}; get it again."
        )
    return values
