"""Image shares: the contribution of each test image to a metric of a run, from its predictions."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cl.errors import DataError
from cl.records.matrix import AccuracyMatrix, Matrices
from cl.records.metrics import METRICS
from cl.records.predictions import Predictions, check_predictions, read_predictions
from cl.results.leaderboard.statistics import Floats, ImageShares

PREDICTIONS = "predictions.npz"

log = logging.getLogger("clbench")

_checked: dict[tuple[Path, str | None, int, int], str | None] = {}
"""What is wrong with the predictions that were read; None: nothing. By file, expected hash, size and time."""

_SMOOTH = {"A_inc_sample_pilot": "A_inc_sample", "A_last_sample_pilot": "A_last_sample"}
"""Metrics that round have no derivative; the derivative of the unrounded metric is used."""


def answers(result: Mapping[str, Any], folder: Path | None, rule: str) -> Predictions | None:
    """The stored predictions of a run under one rule; None if they are missing, damaged or of another run.

    None too for a run that stopped before its first evaluation. Damaged predictions are named in one warning.
    """
    return answers_by_rule(Matrices(result), folder, [rule]).get(rule)


def answers_by_rule(matrices: Matrices, folder: Path | None, rules: Iterable[str]) -> dict[str, Predictions]:
    """As `answers`, for some rules of the run with these matrices, without those without; reads the file once."""
    result, found = matrices.result, dict[str, Predictions]()
    wanted = [rule for rule in rules if rule in result["accuracy"]]
    if folder is None or not wanted or not matrices.rows:
        return found
    key = _key(result, folder)
    if key is None or _checked.get(key) is not None:
        return found
    file, most = folder / PREDICTIONS, most_bytes(result)
    try:
        if key in _checked:
            read = read_predictions(file, wanted, most=most)
        else:
            _checked[key] = None
            read = check_predictions(file, result["predictions_sha256"], most=most)
        for rule in wanted:
            if not _fit(read, matrices, rule):
                raise DataError(
                    f"{file} does not have the counts of the record under {rule}; run the same command again."
                )
            found[rule] = read
    except DataError as error:
        _checked[key] = str(error)
        log.warning("Not used: %s", error)
    return found


def most_bytes(result: Mapping[str, Any]) -> int:
    """Twice the memory that the predictions of a run need; a file that declares more is not read."""
    images = max(map(sum, [result["count"], *result.get("split_count", {}).values()]), default=0)
    tables = len(result["accuracy"]) * len(result["rows"])
    return 2 * images * (8 + 10 * tables) + (1 << 20)  # 10: with --save-scores


def damage_of(result: Mapping[str, Any], folder: Path | None) -> str | None:
    """What is wrong with the predictions of a run, as far as `answers` has read them; None if nothing is known."""
    key = None if folder is None else _key(result, folder)
    return None if key is None else _checked.get(key)


def _key(result: Mapping[str, Any], folder: Path) -> tuple[Path, str | None, int, int] | None:
    try:
        status = os.stat(f"{folder}{os.sep}{PREDICTIONS}")
    except OSError:
        return None
    return folder.absolute(), result["predictions_sha256"], status.st_size, status.st_mtime_ns


def _fit(found: Predictions, matrices: Matrices, rule: str) -> bool:
    """Whether there are predictions whose correct answers per group match the record, in the rows that metrics use."""
    result, rows = matrices.result, matrices.rows
    groups, table = len(result["stream"]["groups"]), found.prediction.get(rule)
    if table is None:
        return False
    limits = ((found.group, groups), (found.label, result["stream"]["n_classes"]))
    if not rows or table.shape[0] <= max(rows) or any(values.size and values.max() >= most for values, most in limits):
        return False
    row, image = np.nonzero(table[rows] == found.label)
    counted = np.bincount(row * groups + found.group[image], minlength=len(rows) * groups)
    return np.array_equal(counted, np.nan_to_num(matrices.of(rule).correct).ravel())


def right(found: Predictions, rule: str) -> NDArray[np.bool_]:
    """Whether each image was classified correctly in each row of the record, bool [rows, n]; False if not evaluated."""
    return np.asarray(found.prediction[rule] == found.label[None, :])


def image_shares(result: Mapping[str, Any], folder: Path | None, rule: str, metric: str) -> ImageShares | None:
    """The share of every image in `metric`; None without predictions, and for metrics that need more than the matrix.

    None too for metrics that are not smooth, and for those that a mean average precision enters: it is no sum over
    images, and is not stored by image.
    """
    matrices, asked = Matrices(result), METRICS[metric]
    alone = not asked.needs and asked.smooth
    found = answers_by_rule(matrices, folder, [rule]).get(rule) if alone else None
    if found is None:
        return None
    matrix, compute = matrices.of(rule), METRICS[_SMOOTH.get(metric, metric)].compute
    slopes = None if _ranked(matrix, compute) else _slopes(matrix, compute)
    if slopes is None:
        return None
    steps = np.flatnonzero(slopes.any(axis=1))
    table = found.prediction[rule][np.array(matrices.rows)[steps]] == found.label
    group = found.group.astype(np.int64)
    shares = (slopes[steps][:, group] * table).sum(axis=0)
    classes = np.asarray(result["stream"]["class_order"], dtype=np.int64)[found.label]
    return ImageShares(found.rows.astype(np.int64), classes, shares)


def _ranked(matrix: AccuracyMatrix, compute: Callable[[AccuracyMatrix], float]) -> bool:
    """Whether a metric depends on a mean average precision."""
    if matrix.mean_precision is None:
        return False
    uneven = 0.01 * np.sqrt(np.arange(2, matrix.mean_precision.size + 2)).reshape(matrix.mean_precision.shape)
    moved = replace(matrix, mean_precision=matrix.mean_precision - uneven)
    return not np.isclose(compute(moved), compute(matrix), rtol=0, atol=1e-14, equal_nan=True)


def _slopes(matrix: AccuracyMatrix, compute: Callable[[AccuracyMatrix], float]) -> Floats | None:
    """The change of a metric per correct answer, [T, G], by finite differences; exact for linear metrics.

    A hundredth of an image is small enough not to change the step at which a maximum is attained. None if undefined.
    """
    value, step = compute(matrix), 0.01
    if not np.isfinite(value):
        return None

    def moved(row: int, change: Floats) -> float:
        correct = matrix.correct.copy()
        correct[row] += change
        return compute(matrix.changed(correct)) - value

    groups = len(matrix.count)
    slopes = np.zeros(matrix.correct.shape)
    uneven = step * np.sqrt(np.arange(2, groups + 2))  # cannot cancel, so unused rows are found
    for row in range(matrix.steps):
        if abs(moved(row, uneven)) > 1e-14:
            slopes[row] = [moved(row, change) / step for change in step * np.eye(groups)]
    return slopes
