"""The formulas of the metrics: functions of a matrix of counts; `cl.records.metrics` names and explains them.

Values are fractions, NaN if undefined. The notation is that of `cl.records.metrics`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cl.records.matrix import AccuracyMatrix, Floats


def mean(values: Floats) -> float:
    """Mean; NaN (undefined) for no values and for values that contain NaN."""
    return float(np.mean(values)) if values.size else np.nan


def accuracy_by_task(matrix: AccuracyMatrix) -> Floats:
    """A_t, the mean of R[t,i] over groups learned by t and evaluated then, [T]; NaN for an empty row. GEM 2017."""
    mask = matrix.evaluated()
    number = mask.sum(axis=1)
    total = np.where(mask, matrix.accuracy, 0.0).sum(axis=1)
    return np.divide(total, number, out=np.full(matrix.steps, np.nan), where=number > 0)


def accuracy_by_sample(matrix: AccuracyMatrix) -> Floats:
    """A_t over the images of groups learned by t and evaluated then, [T]; NaN for an empty row. PyCIL, PILOT."""
    mask = matrix.evaluated()
    number = np.where(mask, matrix.count[None, :], 0).sum(axis=1)
    total = np.where(mask, matrix.correct, 0.0).sum(axis=1)
    return np.divide(total, number, out=np.full(matrix.steps, np.nan), where=number > 0)


def forgetting_per_group(matrix: AccuracyMatrix, *, include_last: bool = False) -> Floats:
    """f_i = max_l R[l,i] - R[T,i] over l < T (l <= T with `include_last`), [G]; Chaudhry et al. 2018.

    NaN for groups that are not old, and if a row since the group was learned is missing, because the maximum of the
    other rows would only be a bound.
    """
    values = np.full(len(matrix.count), np.nan)
    if matrix.steps == 0:
        return values
    rows = np.arange(matrix.steps)[:, None]
    # A group need not be evaluated before it is learned; afterwards a missing entry is NaN, which max() propagates.
    absent = np.isnan(matrix.accuracy) & (rows < matrix.learned[None, :])
    table = np.where(absent, -np.inf, matrix.accuracy)
    old = np.flatnonzero(matrix.old)
    best = table[: matrix.steps if include_last else matrix.steps - 1, old]
    if old.size:
        values[old] = best.max(axis=0) - table[-1, old]
    return values


def base(matrix: AccuracyMatrix) -> float:
    return of_groups(matrix, matrix.learned == 0)


def novel(matrix: AccuracyMatrix) -> float:
    return of_groups(matrix, (matrix.learned > 0) & (matrix.learned < matrix.steps))


def harmonic(matrix: AccuracyMatrix) -> float:
    one, two = base(matrix), novel(matrix)
    return 2 * one * two / (one + two) if one + two != 0 else 0.0  # NaN stays NaN


def of_groups(matrix: AccuracyMatrix, chosen: NDArray[np.bool_]) -> float:
    """Accuracy over the images of some groups after the last step; NaN if one of them was not evaluated then."""
    if not matrix.steps or not matrix.count[chosen].any():
        return np.nan
    return float(matrix.correct[-1, chosen].sum() / matrix.count[chosen].sum())


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


def bwt(matrix: AccuracyMatrix) -> float:
    old = np.flatnonzero(matrix.old)
    accuracy = matrix.accuracy
    return mean(accuracy[-1, old] - accuracy[matrix.learned[old], old]) if old.size else np.nan


def avalanche(matrix: AccuracyMatrix) -> float:
    return 0.0 - bwt(matrix)  # not -x, which would write -0.0


def stepwise(matrix: AccuracyMatrix) -> float:
    accuracy = matrix.accuracy
    drops = []
    for step in range(1, matrix.steps):
        before = (matrix.learned >= 0) & (matrix.learned < step)
        if before.any():
            drops.append(mean(accuracy[step - 1, before] - accuracy[step, before]))
    return mean(np.array(drops))


def global_rf(matrix: AccuracyMatrix) -> float:
    accuracy = matrix.accuracy
    terms = []
    for step in range(1, matrix.steps):
        before = np.flatnonzero((matrix.learned >= 0) & (matrix.learned < step))
        if before.size:
            known = (matrix.learned >= 0) & (matrix.learned <= step)
            drop = accuracy[matrix.learned[before], before] - accuracy[step, before]
            terms.append(float(matrix.sizes[before] @ drop / matrix.sizes[known].sum()))
    return mean(np.array(terms))


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


def learning(matrix: AccuracyMatrix) -> float:
    return mean(matrix.own()[1])


def stability(matrix: AccuracyMatrix) -> float:
    return mean(matrix.accuracy[-1, matrix.old]) if matrix.steps else np.nan
