"""Datasets in IDX files, the format of MNIST: one file with the images of a split and one with their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cl.data.idx import parse_idx
from cl.data.official.files import Files
from cl.data.official.listing import Listing, arrays
from cl.errors import DataError

MNIST = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
"""Files of images and labels by split, as MNIST and the datasets made after it name them."""


def split(files: Files, images: str, labels: str, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey images, uint8 [N, H, W], and their labels, int64 [N]. Raises `DataError`, also for labels beyond `classes`."""
    pixels = parse_idx(files.read(images), 3, f"{images} of {files.where}")
    numbers = parse_idx(files.read(labels), 1, f"{labels} of {files.where}").astype(np.int64)
    if len(pixels) != len(numbers):
        raise DataError(
            f"{images} of {files.where} has {len(pixels):,} images and {labels} {len(numbers):,} labels; "
            "replace both files."
        )
    if len(numbers) and numbers.max() >= classes:
        raise DataError(f"{labels} of {files.where} has a label above {classes - 1}; replace it and run again.")
    return pixels, numbers


def listed(files: Files, names: Mapping[str, tuple[str, str]], class_names: Sequence[str]) -> Listing:
    """The dataset in IDX files: the file of images and that of labels of each split. Raises `DataError`."""
    found = {each: split(files, *pair, len(class_names)) for each, pair in names.items()}
    return Listing(tuple(class_names), {each: arrays(*content) for each, content in found.items()})
