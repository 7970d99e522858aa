"""Rank correlation of two quantities over rows that were run with the same seeds, and its chance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from cl.results.leaderboard.statistics import Floats

EXACT = 8
"""Largest number of rows whose orders are all counted; with more rows the chance is that of a normal distribution."""

Pairs = Sequence[tuple[float, float]]


def rank_correlation(seeds: Sequence[Pairs]) -> tuple[float, float]:
    """Spearman's correlation within each seed, mean over seeds, and its two-sided p-value.

    `seeds` has the two quantities of every row, for each seed. The p-value is the share of orders of the rows, drawn
    for each seed on its own, with a mean at least as far from 0. Seeds are compared within themselves only, so that an
    easy class order does not count. A quantity that all rows share gives a correlation of 0.
    """
    ranked = [tuple(map(_centred, zip(*pairs, strict=True))) for pairs in seeds]
    mean = float(np.mean([one @ two for one, two in ranked]))
    rows = len(seeds[0])
    if rows > EXACT:
        return mean, float(2 * stats.norm.sf(abs(mean) * math.sqrt((rows - 1) * len(seeds))))
    sums, shares = np.zeros(1), np.ones(1)
    for one, two in ranked:
        orders = np.array(list(itertools.permutations(two)))
        values, counts = np.unique((orders @ one).round(9), return_counts=True)
        sums, where = np.unique(np.add.outer(sums, values).round(9), return_inverse=True)
        weights: Floats = np.multiply.outer(shares, counts / len(orders)).ravel()
        shares = np.bincount(where.ravel(), weights).astype(np.float64)
    return mean, float(shares[np.abs(sums) >= len(seeds) * abs(mean) - 1e-6].sum())


def _centred(values: Sequence[float]) -> Floats:
    """Ranks with mean 0 and length 1; all 0 if the values are equal."""
    ranks = stats.rankdata(values) - (len(values) + 1) / 2
    length = float(np.linalg.norm(ranks))
    return ranks / length if length else ranks
