"""Reader of IDX files, the format of MNIST and its successors: plain or compressed with gzip."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from cl.data.readers import Content
from cl.data.store import ImageStore
from cl.errors import DataError, counted

_MOST = 1 << 30
"""Largest file read, in bytes; MNIST's largest has 47 million."""


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """The unsigned bytes of an IDX file with so many dimensions; a name that ends in .gz is decompressed.

    Raises `DataError` for a file that is damaged, of another type or of another size than it declares.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            return parse_idx(file.read(_MOST), dimensions)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(
            f"Cannot read {path}: it is truncated, damaged or in another format ({error}); replace it and run again."
        ) from error


def parse_idx(data: bytes, dimensions: int) -> np.ndarray:
    """The unsigned bytes in the content of an IDX file with so many dimensions; raises `ValueError` as `read_idx`."""
    start = 4 + 4 * dimensions
    if len(data) < start or data[:3] != b"\0\0\x08" or data[3] != dimensions:
        raise ValueError(
            f"it does not begin as an IDX file of bytes in {dimensions} dimension{'s' * (dimensions != 1)} does"
        )
    shape = np.frombuffer(data, ">u4", dimensions, 4).astype(int).tolist()
    if len(data) - start != math.prod(shape):
        raise ValueError(f"it declares {' x '.join(map(str, shape))} values and has {len(data) - start:,}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def read_idx_files(paths: tuple[Path, ...], class_names: tuple[str, ...]) -> Content:
    """A dataset in four files: training images and labels, test images and labels. Raises `DataError`."""
    splits: dict[str, ImageStore] = {}
    for split, (images, labels) in {"train": paths[:2], "test": paths[2:]}.items():
        pixels, numbers = read_idx(images, 3), read_idx(labels, 1).astype(np.int64)
        if len(pixels) != len(numbers):
            raise DataError(
                f"{images} has {counted(len(pixels), 'image')} and {labels} {counted(len(numbers), 'label')}; replace "
                "both files."
            )
        if len(numbers) and numbers.max() >= len(class_names):
            raise DataError(f"{labels} has a label above {len(class_names) - 1}; replace it and run again.")
        splits[split] = ImageStore.from_arrays(pixels, numbers)
    return Content(splits, class_names, {})
