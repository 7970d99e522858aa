"""The default stream: scikit-learn's handwritten digits, which need no download."""

from __future__ import annotations

import gzip
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cl.data.store import Dataset, ImageStore, Progress
from cl.settings.class_incremental import ClassIncremental

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEST_FRACTION = 0.25
FILE = "datasets/data/digits.csv.gz"
"""Where scikit-learn keeps the digits, below its folder."""


class SplitDigits(ClassIncremental):
    """Handwritten digits (1,797 grey 8x8 images, part of scikit-learn) in 5 tasks of 2 classes; needs no download.

    Name: Split digits

    The dataset has no official split. The test set is the first quarter (rounded) of every class in canonical order,
    the order of a hash of the pixels: 450 test and 1,347 training images. Values 0..16 become 0..255.
    """

    name = "split-digits"
    n_classes, usual = len(CLASSES), {"increment": 2}

    def read(self, options: Any, argument: str, progress: Progress | None) -> Dataset:
        return digits()


def raw_digits() -> tuple[np.ndarray, np.ndarray]:
    """Images [1797, 8, 8] with values 0..16 and labels [1797], as `sklearn.datasets.load_digits` gives them.

    They are read from scikit-learn's file: the import of scikit-learn takes longer than everything else before the
    first training step of a run.
    """
    spec = importlib.util.find_spec("sklearn")
    folders = (spec.submodule_search_locations or ()) if spec is not None else ()
    path = next((path for path in (Path(folder) / FILE for folder in folders) if path.is_file()), None)
    if path is None:  # another version of scikit-learn may keep it elsewhere
        from sklearn.datasets import load_digits

        bunch = load_digits()
        return bunch.images, bunch.target
    with gzip.open(path, "rt", encoding="ascii") as file:
        table = np.loadtxt(file, delimiter=",")
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)


@lru_cache(maxsize=1)
def digits() -> Dataset:
    """The digits with our fixed split, uint8 [N, 8, 8, 1]."""
    images, labels = raw_digits()
    whole = ImageStore.from_arrays(np.rint(images * (255 / 16)).astype(np.uint8), labels)
    is_test = np.zeros(len(whole), dtype=bool)
    for label in range(len(CLASSES)):
        rows = np.flatnonzero(whole.labels == label)
        is_test[rows[: round(TEST_FRACTION * len(rows))]] = True
    return Dataset(
        name="digits",
        train=ImageStore.from_arrays(whole.pixels[~is_test], whole.labels[~is_test]),
        test=ImageStore.from_arrays(whole.pixels[is_test], whole.labels[is_test]),
        class_names=CLASSES,
        origin="scikit-learn",
        licence="CC BY 4.0",
        citation="Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998",
        verified=True,
    )
