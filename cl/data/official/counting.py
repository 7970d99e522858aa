"""Counting tasks as classification, as NEVIS'22 has them: classes of counts with about the same number of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cl.errors import DataError


@dataclass(frozen=True)
class Bins:
    """Classes of counts by their `lowest` counts, ascending; the first class begins with 0."""

    lowest: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The classes by name: "0-13", "14", "15-19", "20 or more"."""
        names = []
        for first, following in zip(self.lowest, self.lowest[1:], strict=False):
            names.append(str(first) if following == first + 1 else f"{first}-{following - 1}")
        return (*names, f"{self.lowest[-1]} or more")

    def labels(self, counts: Sequence[int]) -> np.ndarray:
        """The class of each count, int64 [N]."""
        return np.asarray(np.searchsorted(self.lowest, np.asarray(counts, np.int64), "right") - 1, np.int64)


def equal_bins(counts: Sequence[int], classes: int, where: str) -> Bins:
    """Bins that share the images `counts` as equally as whole counts allow.

    Class k ends with the largest count up to which there are fewer than (k + 1)/classes of all images, and has at least
    one count. The counts of all images belong together, those of test images too: this is how NEVIS'22 does it.
    Raises `DataError` if too many images have the smallest counts.
    """
    total = len(counts)
    below = np.cumsum(np.bincount(np.asarray(counts, np.int64), minlength=1)) if total else np.ones(1)
    lowest = [0]
    for part in range(1, classes):
        fewer = np.flatnonzero(below < total / classes * part)
        if not len(fewer):
            raise DataError(
                f"The counts of {where} do not make {classes} classes; get the whole dataset and run again."
            )
        lowest.append(max(int(fewer[-1]), lowest[-1]) + 1)
    return Bins(tuple(lowest))
