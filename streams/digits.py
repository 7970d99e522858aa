"""The default stream: scikit-learn's handwritten digits, which need no download."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from cl.data.store import Dataset, ImageStore, Progress
from cl.settings.class_incremental import ClassIncremental

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEST_FRACTION = 0.25


class SplitDigits(ClassIncremental):
    """Handwritten digits (1,797 grey 8x8 images, part of scikit-learn) in 5 tasks of 2 classes; needs no download.

    The dataset has no official split. The test set is the first quarter (rounded) of every class in canonical order,
    the order of a hash of the pixels: 450 test and 1,347 training images. Values 0..16 become 0..255.
    """

    name = "split-digits"
    n_classes, usual = len(CLASSES), {"increment": 2}

    def read(self, options: Any, argument: str, progress: Progress | None) -> Dataset:
        return digits()


@lru_cache(maxsize=1)
def digits() -> Dataset:
    """The digits with our fixed split, uint8 [N, 8, 8, 1]."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    whole = ImageStore.from_arrays(np.rint(bunch.images * (255 / 16)).astype(np.uint8), bunch.target)
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
