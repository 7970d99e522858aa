"""Intervals and tests on metrics: which differences the available seeds and test images can show.

The bootstrap resamples **seeds and images**, crossed: every resample uses the same images for all runs and the same
seeds for both sides of a comparison, so differences are paired. Of n seeds n - 1 are drawn, which makes the variance of
a mean of few seeds unbiased; n draws would understate it (McCarthy & Snowden 1985; Rao & Wu 1988). Images are drawn
within their class (Efron 1979). Intervals are percentiles, seeded and deterministic.

Two seeds can only show that both differ in the same direction. A t-interval over two seeds would be thirteen standard
errors wide on each side; `smallest_difference` computes the difference that n seeds can detect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RESAMPLES = 2000
LEVEL = 0.95

_DIGITS = 9
"""Decimals of an interval: the last bits of a sum differ between machines and must not matter."""

_CHUNK = 2_000_000
"""Entries of a block of float64 counts: 16 MB."""


@dataclass(frozen=True, eq=False)
class ImageShares:
    """The first-order contribution of the answer to each test image to a metric of one run.

    ids: int64 [n], rows of the images in the dataset's store; classes: int64 [n], the dataset's own labels; shares:
    float64 [n]. If image i counted w_i times, with the total of each class unchanged, the metric would change by
    sum_i (w_i - 1) shares_i.
    """

    ids: Ints
    classes: Ints
    shares: Floats


def resample_images(runs: Sequence[ImageShares]) -> Floats:
    """The change of each run's metric when the images are resampled, [`RESAMPLES`, runs].

    Column k belongs to `runs[k]`; all columns share the draws, so differences between them are paired.
    """
    ids, first, inverse = np.unique(
        np.concatenate([run.ids for run in runs]), return_index=True, return_inverse=True
    )  # fmt: skip
    classes = np.concatenate([run.classes for run in runs])[first]
    order = np.argsort(classes, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(ids))
    table = np.zeros((len(ids), len(runs)))
    ends = np.cumsum([len(run.ids) for run in runs])
    for column, (run, where) in enumerate(zip(runs, np.split(inverse, ends[:-1]), strict=True)):
        table[place[where], column] = _centred(run)
    counts = _draws(tuple(np.unique(classes, return_counts=True)[1].tolist()))
    rows = max(_CHUNK // len(ids), 1)
    return np.concatenate([counts[i : i + rows].astype(np.float64) @ table for i in range(0, RESAMPLES, rows)])


@lru_cache(maxsize=1)  # boards of one dataset share their draws
def _draws(sizes: tuple[int, ...]) -> NDArray[np.uint8]:
    """How often each image is drawn, [`RESAMPLES`, images], with the images of a class next to each other."""
    images, size = sum(sizes), np.repeat(sizes, sizes)
    start = np.repeat(np.cumsum((0, *sizes[:-1])), sizes)
    rng = np.random.default_rng(0)
    counts = np.empty((RESAMPLES, images), dtype=np.uint8)  # no image is ever drawn 256 times
    for done in range(0, RESAMPLES, step := max(_CHUNK // images, 1)):
        rows = min(step, RESAMPLES - done)
        drawn = start + (rng.random((rows, images)) * size).astype(np.int64)
        drawn += np.arange(rows)[:, None] * images
        counts[done : done + rows] = np.bincount(drawn.ravel(), minlength=rows * images).reshape(rows, images)
    return counts


def _centred(run: ImageShares) -> Floats:
    """Shares minus the mean of their class, so that the observed images give a change of 0."""
    _, inverse, count = np.unique(run.classes, return_inverse=True, return_counts=True)
    means = np.bincount(inverse, weights=run.shares) / count
    return np.asarray(run.shares - means[inverse], dtype=np.float64)


def resampled_means(values: Floats, moves: Floats | None = None) -> Floats | None:
    """The mean of `values` [n], one per seed, in each resample, [`RESAMPLES`]; `moves` from `resample_images`.

    Without moves only seeds are drawn; one seed with moves draws only images; None if there is nothing to draw.
    """
    seeds = len(values)
    if seeds == 0 or (seeds == 1 and moves is None):
        return None
    resampled = np.broadcast_to(values, (RESAMPLES, seeds)) if moves is None else values + moves
    draws = np.random.default_rng(0).integers(seeds, size=(RESAMPLES, max(seeds - 1, 1)))
    return np.asarray(np.take_along_axis(resampled, draws, axis=1).mean(axis=1), dtype=np.float64)


def mean_interval(values: Floats, moves: Floats | None = None, level: float = LEVEL) -> tuple[float, float] | None:
    """Bootstrap interval of the mean of `values`, from `resampled_means`; None if there is nothing to draw."""
    means = resampled_means(values, moves)
    if means is None:
        return None
    tail = 50 * (1 - level)
    low, high = np.percentile(means, [tail, 100 - tail])
    return round(float(low), _DIGITS), round(float(high), _DIGITS)


def two_sided_p(means: Floats) -> float:
    """Bootstrap p-value of "the mean is 0": twice the smaller share of resamples on one side of 0.

    Davison & Hinkley 1997, eq. 4.11, with the observed value counted as a resample.
    """
    below, above = int((means <= 0).sum()), int((means >= 0).sum())
    return min(1.0, 2 * (min(below, above) + 1) / (len(means) + 1))


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values for several tests, in the given order. Holm 1979."""
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda index: p[index])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted


def confidence_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float] | None:
    """`mean_interval` over seeds only, independent of their order; None below 2 values."""
    return mean_interval(np.sort(np.asarray(values, dtype=np.float64)), level=level)


@dataclass(frozen=True)
class McNemar:
    """Exact test whether two runs classify equally many images correctly; image counts, two-sided p. McNemar 1947."""

    only_first: int
    only_second: int
    p: float


def mcnemar(first: NDArray[Any], second: NDArray[Any]) -> McNemar:
    """McNemar's test; `first` and `second`: whether each of the same images was classified correctly, [n]."""
    from scipy import stats

    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
    both = only_first + only_second
    p = float(stats.binomtest(only_first, both, 0.5).pvalue) if both else 1.0
    return McNemar(only_first, only_second, p)


def smallest_difference(differences: Sequence[float], power: float = 0.8, level: float = LEVEL) -> float | None:
    """The true difference that a paired t-test on this number of seeds would detect with probability `power`.

    The standard deviation of the given differences is taken as the true one; solved with the noncentral t
    distribution. None below 2 seeds.
    """
    seeds = len(differences)
    if seeds < 2:
        return None
    from scipy import optimize, stats

    freedom = seeds - 1
    limit = stats.t.ppf(0.5 + level / 2, freedom)
    near = limit + stats.t.ppf(power, freedom)  # the textbook's approximation, close to the exact value
    shift = optimize.brentq(lambda shift: stats.nct.sf(limit, freedom, shift) - power, 0.0, 2 * near)
    return float(shift * np.std(differences, ddof=1) / np.sqrt(seeds))
