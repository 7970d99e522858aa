"""Mean average precision: the measure of images that may have several classes, as NEVIS'22 takes it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def mean_average_precision(tags: NDArray[np.bool_], scores: NDArray[np.floating[Any]]) -> float:
    """The mean over classes of the average precision: `tags` bool [N, C] and `scores` [N, C], higher for likelier.

    It is scikit-learn's `average_precision_score` with average="macro" (1.1 and later), the measure in the authors'
    code: equal scores are one threshold, and a class that no image has counts as 0. The code ranks sigmoids; logits
    have the same ranks, unless their sigmoids round to equal numbers. NaN without images or classes. -inf is the lowest
    score. Raises `ValueError` for other shapes and for NaN.
    """
    from sklearn.metrics import average_precision_score

    if tags.shape != scores.shape or tags.ndim != 2:
        raise ValueError(f"tags and scores need one shape [N, C], not {list(tags.shape)} and {list(scores.shape)}")
    if not tags.size:
        return float("nan")
    limits = np.finfo(np.float64)
    ranked = np.clip(scores.astype(np.float64), limits.min, limits.max)
    shown = np.flatnonzero(tags.any(0))  # scikit-learn warns of the others
    found = np.zeros(tags.shape[1])
    for column in shown.tolist():
        found[column] = average_precision_score(tags[:, column], ranked[:, column])
    return float(found.mean())
