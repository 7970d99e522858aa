"""Datasets in IDX files, the format of MNIST: one file of images and one of labels per split."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from cl.data.idx import parse_idx
from cl.data.official.files import Files
from cl.data.official.listing import Listing, arrays
from cl.errors import DataError, counted

_MOST = 1 << 30
"""Largest file read, in bytes unpacked."""


def idx_files(files: Files, splits: Mapping[str, tuple[str, str]], class_names: Sequence[str]) -> Listing:
    """The listing of grey images [H, W]: `splits` gives the names of the files with images and with labels.

    Raises `DataError` for a damaged file, files that do not fit, and a label without a name.
    """
    found = {}
    for split, (images, labels) in splits.items():
        pixels, numbers = values(files, images, 3), values(files, labels, 1).astype(np.int64)
        if len(pixels) != len(numbers):
            raise DataError(
                f"{images} of {files.where} has {counted(len(pixels), 'image')} and {labels} "
                f"{counted(len(numbers), 'label')}; replace both files."
            )
        if len(numbers) and numbers.max() >= len(class_names):
            raise DataError(f"{labels} of {files.where} has a label above {len(class_names) - 1}; replace it.")
        found[split] = arrays(pixels, numbers)
    return Listing(tuple(class_names), found)


def values(files: Files, name: str, dimensions: int) -> np.ndarray:
    """The unsigned bytes of an IDX file with so many dimensions; one whose name ends in .gz is decompressed.

    Raises `DataError`.
    """
    data = files.read(name)
    try:
        if name.endswith(".gz"):
            with gzip.open(io.BytesIO(data)) as file:
                data = file.read(_MOST)
        return parse_idx(data, dimensions)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"Cannot read {name} of {files.where}: {error}; replace it and run again.") from error
