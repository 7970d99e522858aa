"""The formulas of the metrics: functions of a matrix of counts; `cl.records.metrics` names and explains them.

Values are fractions, NaN if undefined. The notation is that of `cl.records.metrics`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cl.records.matrix import AccuracyMatrix, Floats, Ints, Offline
from cl.records.probe import ProbeCurve

WINDOW = 10
"""Consecutive evaluations in a window of WF_10 and WP_10."""


T = TypeVar("T")


def once(compute: Callable[[AccuracyMatrix], T]) -> Callable[[AccuracyMatrix], T]:
    """A formula whose value is kept with the matrix, because several metrics need it; an array is made read-only."""
    name = compute.__name__

    @wraps(compute)
    def kept(matrix: AccuracyMatrix) -> T:
        if name not in matrix.kept:
            value = compute(matrix)
            if isinstance(value, np.ndarray):
                value.setflags(write=False)
            matrix.kept[name] = value
        found: T = matrix.kept[name]
        return found

    return kept


def mean(values: Floats) -> float:
    """Mean; NaN (undefined) for no values and for values that contain NaN.

    The same bits as `np.mean`, which takes four times as long for a few numbers.
    """
    return float(np.add.reduce(values, axis=None) / values.size) if values.size else np.nan


@once
def accuracy_by_task(matrix: AccuracyMatrix) -> Floats:
    """A_t, the mean of R[t,i] over groups learned by t and evaluated then, [T]; NaN for an empty row. GEM 2017."""
    mask = matrix.evaluated()
    number = mask.sum(axis=1)
    total = np.where(mask, matrix.accuracy, 0.0).sum(axis=1)
    return np.divide(total, number, out=np.full(matrix.steps, np.nan), where=number > 0)


@once
def accuracy_by_sample(matrix: AccuracyMatrix) -> Floats:
    """A_t over the images of groups learned by t and evaluated then, [T]; NaN for an empty row. PyCIL, PILOT.

    Groups whose images may have several classes have no share in it.
    """
    mask = matrix.answered()
    number = np.where(mask, matrix.count[None, :], 0).sum(axis=1)
    total = np.where(mask, matrix.correct, 0.0).sum(axis=1)
    return np.divide(total, number, out=np.full(matrix.steps, np.nan), where=number > 0)


def accuracy_shown(matrix: AccuracyMatrix) -> Floats:
    """A_t that tables and figures show, [T]: over images, or over groups if some have several classes per image."""
    return accuracy_by_sample(matrix) if matrix.mean_precision is None else accuracy_by_task(matrix)


def forgetting_per_group(matrix: AccuracyMatrix, *, include_last: bool = False) -> Floats:
    """f_i = max_l R[l,i] - R[T,i] over l < T (l <= T with `include_last`), [G]; Chaudhry et al. 2018.

    NaN for groups that are not old, and if a row since the group was learned is missing, because the maximum of the
    other rows would only be a bound.
    """
    return _forgetting_from_all(matrix) if include_last else _forgetting(matrix)


@once
def _forgetting(matrix: AccuracyMatrix) -> Floats:
    return _drop_from_best(matrix, matrix.steps - 1)


@once
def _forgetting_from_all(matrix: AccuracyMatrix) -> Floats:
    return _drop_from_best(matrix, matrix.steps)


def _drop_from_best(matrix: AccuracyMatrix, rows: int) -> Floats:
    """The best of the first rows minus the last row, [G]; NaN for groups that are not old."""
    values = np.full(len(matrix.count), np.nan)
    old = np.flatnonzero(matrix.old)
    if old.size:
        table = _since_learned(matrix)
        values[old] = table[:rows, old].max(axis=0) - table[-1, old]
    return values


@once
def _since_learned(matrix: AccuracyMatrix) -> Floats:
    """R with minus infinity for groups that were not evaluated before they were learned, [T, G].

    A group need not be evaluated before it is learned; afterwards a missing entry is NaN, which max() propagates.
    """
    absent = np.isnan(matrix.accuracy) & (np.arange(matrix.steps)[:, None] < matrix.learned[None, :])
    return np.where(absent, -np.inf, matrix.accuracy)


def by_step(compute: Callable[[AccuracyMatrix], float], matrix: AccuracyMatrix) -> Floats:
    """A metric after each step, as if the run had ended there, [T]; NaN if undefined."""
    return np.array([compute(matrix.until(rows)) for rows in range(1, matrix.steps + 1)], dtype=np.float64)


@once
def base(matrix: AccuracyMatrix) -> float:
    return of_groups(matrix, matrix.learned == 0)


@once
def novel(matrix: AccuracyMatrix) -> float:
    return of_groups(matrix, (matrix.learned > 0) & (matrix.learned < matrix.steps))


def harmonic(matrix: AccuracyMatrix) -> float:
    one, two = base(matrix), novel(matrix)
    return 2 * one * two / (one + two) if one + two != 0 else 0.0  # NaN stays NaN


def of_groups(matrix: AccuracyMatrix, chosen: NDArray[np.bool_]) -> float:
    """Accuracy over the images of some groups after the last step; NaN if one of them was not evaluated then."""
    return of_groups_at(matrix, chosen, -1) if matrix.steps else np.nan


def of_groups_at(matrix: AccuracyMatrix, chosen: NDArray[np.bool_], row: int) -> float:
    """The same after the step of a row; groups whose images may have several classes are left out."""
    if matrix.mean_precision is not None:
        chosen = chosen & np.isnan(matrix.mean_precision[row])
    if not matrix.count[chosen].any():
        return np.nan
    return float(matrix.correct[row, chosen].sum() / matrix.count[chosen].sum())


def drop(matrix: AccuracyMatrix) -> float:
    curve = accuracy_by_sample(matrix)
    return float(curve[0] - curve[-1]) if len(curve) > 1 else np.nan


def last(curve: Floats) -> float:
    return float(curve[-1]) if curve.size else np.nan


def pilot(matrix: AccuracyMatrix) -> float:
    return mean(np.around(accuracy_by_sample(matrix) * 100, decimals=2)) / 100


def chaudhry(matrix: AccuracyMatrix) -> float:
    return mean(forgetting_per_group(matrix)[matrix.old])


def max_all(matrix: AccuracyMatrix) -> float:
    return mean(forgetting_per_group(matrix, include_last=True)[matrix.old])


@once
def bwt(matrix: AccuracyMatrix) -> float:
    old = np.flatnonzero(matrix.old)
    accuracy = matrix.accuracy
    return mean(accuracy[-1, old] - accuracy[matrix.learned[old], old]) if old.size else np.nan


def avalanche(matrix: AccuracyMatrix) -> float:
    return 0.0 - bwt(matrix)  # not -x, which would write -0.0


def stepwise(matrix: AccuracyMatrix) -> float:
    moved = matrix.accuracy[:-1] - matrix.accuracy[1:]
    return mean(np.array([mean(moved[step - 1, before]) for step, before in _learned_before(matrix)]))


def global_rf(matrix: AccuracyMatrix) -> float:
    groups, first = matrix.own()
    own = np.full(len(matrix.count), np.nan)
    own[groups] = first
    moved = own[None, :] - matrix.accuracy
    known = np.cumsum(np.bincount(matrix.learned[groups], matrix.sizes[groups], matrix.steps))  # classes by step: exact
    terms = [
        float(matrix.sizes[before] @ moved[step, before] / known[step]) for step, before in _learned_before(matrix)
    ]
    return mean(np.array(terms))


@once
def _learned_before(matrix: AccuracyMatrix) -> list[tuple[int, Ints | slice]]:
    """For every step but the first, the groups that steps before learned; steps without any are left out.

    They are a slice if they are the first groups, as in most streams: a view takes less time than a copy.
    """
    steps = range(1, matrix.steps)
    known = (matrix.learned >= 0) & (matrix.learned < np.array(steps)[:, None])
    groups, ends = known.nonzero()[1], known.sum(axis=1).cumsum().tolist()
    found = [(step, groups[start:end]) for step, (start, end) in zip(steps, pairwise([0, *ends]), strict=True)]
    return [
        (step, slice(before.size) if before[-1] == before.size - 1 else before) for step, before in found if before.size
    ]


def local_rf(matrix: AccuracyMatrix, local: AccuracyMatrix) -> float:
    return bwt(local)


def fwt(matrix: AccuracyMatrix, baseline: Floats) -> float:
    later = np.flatnonzero((matrix.learned >= 1) & (matrix.learned < matrix.steps))
    return mean(matrix.accuracy[matrix.learned[later] - 1, later] - baseline[later]) if later.size else np.nan


def intransigence(matrix: AccuracyMatrix, reference: Floats) -> float:
    groups, own = matrix.own()
    return mean(reference[groups] - own)


def intransigence_last(matrix: AccuracyMatrix, reference: Floats) -> float:
    groups, own = matrix.own()
    final = matrix.learned[groups] == matrix.steps - 1
    return mean((reference[groups] - own)[final])


@once
def learning(matrix: AccuracyMatrix) -> float:
    return mean(matrix.own()[1])


def stability(matrix: AccuracyMatrix) -> float:
    return mean(matrix.accuracy[-1, matrix.old]) if matrix.steps else np.nan


def last_pilot(matrix: AccuracyMatrix) -> float:
    return float(np.around(last(accuracy_by_sample(matrix)) * 100, decimals=2)) / 100


def _below(matrix: AccuracyMatrix, *, diagonal: bool) -> Floats:
    """R[t,i] with i <= t, or i < t without the diagonal, as a flat array; NaN for entries that were not measured."""
    rows = np.arange(matrix.steps)[:, None]
    learned = matrix.learned[None, :]
    known = (learned <= rows) if diagonal else (learned < rows)
    return matrix.accuracy[known & (learned >= 0)]


def dr_accuracy(matrix: AccuracyMatrix) -> float:
    return mean(_below(matrix, diagonal=True))


@once
def dr_bwt(matrix: AccuracyMatrix) -> float:
    groups, own = matrix.own()
    later = np.arange(matrix.steps)[:, None] > matrix.learned[groups][None, :]
    return mean((matrix.accuracy[:, groups] - own[None, :])[later])


def dr_remembering(matrix: AccuracyMatrix) -> float:
    return float(1 - np.abs(np.minimum(dr_bwt(matrix), 0)))


def dr_positive_bwt(matrix: AccuracyMatrix) -> float:
    return float(np.maximum(dr_bwt(matrix), 0))


def dr_fwt(matrix: AccuracyMatrix) -> float:
    learned = matrix.learned[None, :]
    return mean(matrix.accuracy[(learned > np.arange(matrix.steps)[:, None]) & (learned < matrix.steps)])


def omega_base(matrix: AccuracyMatrix, offline: Offline) -> float:
    base = [of_groups_at(matrix, matrix.learned == 0, row) for row in range(1, matrix.steps)]
    return mean(np.array(base) / offline.base)


def omega_new(matrix: AccuracyMatrix) -> float:
    groups, own = matrix.own()
    return mean(own[matrix.learned[groups] > 0])


def omega_all(matrix: AccuracyMatrix, offline: Offline) -> float:
    return mean((accuracy_by_sample(matrix) / offline.seen)[1:])


def _lowest(matrix: AccuracyMatrix) -> Floats:
    """The lowest accuracy on each old group after the step that learned it; NaN if a later row lacks the group."""
    old = np.flatnonzero(matrix.old)
    return np.array([matrix.accuracy[matrix.learned[group] + 1 :, group].min() for group in old])


def min_acc(matrix: AccuracyMatrix, continual: AccuracyMatrix) -> float:
    return mean(_lowest(continual))


def wc_acc(matrix: AccuracyMatrix, continual: AccuracyMatrix) -> float:
    if continual.steps < 2:
        return np.nan
    newest = continual.accuracy[-1, continual.learned == continual.steps - 1]
    return mean(np.concatenate([_lowest(continual), newest])) if newest.size else np.nan


def windowed_forgetting(matrix: AccuracyMatrix, continual: AccuracyMatrix) -> float:
    return _windowed(continual, 1.0)


def windowed_plasticity(matrix: AccuracyMatrix, continual: AccuracyMatrix) -> float:
    return _windowed(continual, -1.0)


def _windowed(matrix: AccuracyMatrix, sign: float) -> float:
    """The largest drop (sign 1) or rise (-1) of a group within `WINDOW` consecutive evaluations, at least 0; mean."""
    largest = []
    for group in np.flatnonzero((matrix.learned >= 0) & (matrix.learned < matrix.steps)):
        values = sign * matrix.accuracy[:, group]
        values = values[np.argmax(~np.isnan(values)) :]  # a group need not be evaluated before its classes arrive
        moves = [0.0, *(values[i] - values[i + 1 : i + WINDOW].min() for i in range(len(values) - 1))]
        largest.append(np.max(moves))  # NaN if an evaluation is missing
    return mean(np.array(largest)) if matrix.steps > 1 else np.nan


def class_forgetting(matrix: AccuracyMatrix, classes: AccuracyMatrix) -> float:
    if classes.steps < 2:
        return np.nan
    table = classes.accuracy
    best = np.where(np.isnan(table), 0.0, table)[:-1].max(axis=0)  # 0: no earlier evaluation of the class
    known = best > 0
    return mean((best - table[-1])[known])


def macro_accuracy(matrix: AccuracyMatrix, classes: AccuracyMatrix) -> float:
    return mean(classes.accuracy[-1][classes.evaluated()[-1]]) if classes.steps else np.nan


def pretraining_forgotten(matrix: AccuracyMatrix, probe: ProbeCurve) -> float:
    return last(probe.forgetting)


def pretraining_forgotten_by_means(matrix: AccuracyMatrix, probe_means: ProbeCurve) -> float:
    return last(probe_means.forgetting)


def probed(matrix: AccuracyMatrix, probe: ProbeCurve) -> float:
    return last(probe.after)
