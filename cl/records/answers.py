"""Metrics of single answers: flips between two evaluations, confusion, macro F1, and calibration from stored scores.

The formulas are in `cl.records.later_metrics`. Values are fractions (NLL: nats), NaN if undefined.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cl.records.formulas import mean
from cl.records.matrix import AccuracyMatrix, Floats, Ints, main_split, rows_of
from cl.records.predictions import SCORES, Predictions

BINS = 15
"""Bins of the expected calibration error."""

Right = NDArray[np.bool_]
Rows = slice | list[int]


@dataclass(frozen=True, eq=False)
class Answers:
    """What a run answered: label [n] and group [n] of each test image, and its prediction after each step [T, n].

    Classes are numbered by position. A prediction that is no class (`cl.records.predictions.ABSENT`) is wrong.
    """

    label: Ints
    group: Ints
    prediction: Ints

    @cached_property
    def right(self) -> Right:
        """Whether each answer is correct, [T, n]."""
        return np.asarray(self.prediction == self.label[None, :])


@dataclass(frozen=True, eq=False)
class Scores:
    """What a run stores of its scores after the last step, for each test image [n]; `group` is its group.

    rank: number of classes that score higher than the image's own; confidence: natural logarithm of the probability of
    the answer; likelihood: that of the image's own class; right: whether the answer is correct.
    """

    group: Ints
    right: Right
    rank: Ints
    confidence: Floats
    likelihood: Floats


def answers_of(result: Mapping[str, Any], predictions: Predictions, rule: str) -> Answers:
    """The predictions of one rule after each step, on the split that was evaluated."""
    table = predictions.prediction[rule][rows_of(result, main_split(result))]
    return Answers(*(np.asarray(values, dtype=np.int64) for values in (predictions.label, predictions.group, table)))


def scores_of(result: Mapping[str, Any], predictions: Predictions, rule: str) -> Scores | None:
    """The stored scores of one rule after the last step; None if the run did not store them."""
    rows = rows_of(result, main_split(result))
    if not rows or any(rule not in predictions.scores.get(kind, {}) for kind in SCORES):
        return None
    rank, confidence, likelihood = (np.asarray(predictions.scores[kind][rule][rows[-1]]) for kind in SCORES)
    right = np.asarray(predictions.prediction[rule][rows[-1]] == predictions.label)
    group = np.asarray(predictions.group, dtype=np.int64)
    return Scores(group, right, rank.astype(np.int64), confidence.astype(np.float64), likelihood.astype(np.float64))


def flip_rates(before: Right, after: Right) -> tuple[float, float]:
    """Negative and positive flip rate between two rows of answers to the same images [n]; NaN for no images."""
    negative, positive = _rates(before[None], after[None], np.ones((1, len(before)), dtype=np.bool_))[0]
    return float(negative), float(positive)


def _rates(before: Right, after: Right, chosen: Right) -> Floats:
    """Negative and positive flip rate of every row among the chosen images, [k, 2], from [k, n] each."""
    counts = [np.count_nonzero(flipped & chosen, axis=1) for flipped in (before & ~after, ~before & after)]
    number = np.count_nonzero(chosen, axis=1)[:, None]
    table = np.array(counts, dtype=np.float64).T
    return np.divide(table, number, out=np.full(table.shape, np.nan), where=number > 0)


def flips_between(matrix: AccuracyMatrix, answers: Answers, first: int, second: int) -> tuple[float, float]:
    """`flip_rates` from step `first` to step `second` (from 0), on the groups learned and evaluated at both.

    Images that may have several classes have no single answer and are left out.
    """
    negative, positive = _flips(matrix, answers, [first], [second])[0]
    return float(negative), float(positive)


def _flips(matrix: AccuracyMatrix, answers: Answers, first: Rows, second: Rows) -> Floats:
    """`flip_rates` from each of some steps to another, [k, 2]; see `flips_between`."""
    known = matrix.answered()
    chosen = (known[first] & known[second])[:, answers.group]
    return _rates(answers.right[first], answers.right[second], chosen)


def flips_by_step(matrix: AccuracyMatrix, answers: Answers) -> NDArray[np.float64]:
    """Negative and positive flip rate from each step to the next, [T - 1, 2]; kept with the matrix, read-only."""
    of, flips = matrix.kept.get("flips", (None, None))
    if of is not answers:
        flips = _flips(matrix, answers, slice(0, max(matrix.steps - 1, 0)), slice(1, max(matrix.steps, 1)))
        flips.setflags(write=False)
        matrix.kept["flips"] = answers, flips
    found: Floats = flips
    return found


def negative_flips(matrix: AccuracyMatrix, answers: Answers) -> float:
    return mean(flips_by_step(matrix, answers)[:, 0])


def positive_flips(matrix: AccuracyMatrix, answers: Answers) -> float:
    return mean(flips_by_step(matrix, answers)[:, 1])


def confusion(matrix: AccuracyMatrix, answers: Answers, classes: int) -> Ints:
    """Images by class (rows) and answer (columns) after the last step, [C, C + 1]; the last column: no class answered.

    It counts the groups that were learned and evaluated by then.
    """
    table = np.zeros((classes, classes + 1), dtype=np.int64)
    if matrix.steps:
        chosen = matrix.answered()[-1][answers.group]
        np.add.at(table, (answers.label[chosen], np.minimum(answers.prediction[-1, chosen], classes)), 1)
    return table


@dataclass(frozen=True, eq=False)
class ByClass:
    """Of each class, from a table of `confusion`: its images, precision, recall and F1, fractions [C].

    Precision is NaN for a class that no image was answered with, recall for one without images, F1 if both hold.
    """

    images: Ints
    precision: Floats
    recall: Floats
    f1: Floats

    @classmethod
    def of(cls, table: Ints) -> ByClass:
        images, right, answered = table.sum(axis=1), table.diagonal(), table[:, : len(table)].sum(axis=0)
        return cls(
            images, *(_ratio(*pair) for pair in ((right, answered), (right, images), (2 * right, images + answered)))
        )


def _ratio(part: Ints, whole: Ints) -> Floats:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def macro_f1(matrix: AccuracyMatrix, answers: Answers) -> float:
    found = ByClass.of(confusion(matrix, answers, int(answers.label.max(initial=-1)) + 1))
    return mean(found.f1[found.images > 0])


def top5(matrix: AccuracyMatrix, scores: Scores) -> float:
    chosen = _tested(matrix, scores)
    if np.isnan(scores.confidence[chosen]).any():  # an image whose scores were not stored; its rank says nothing
        return np.nan
    return mean((scores.rank < 5)[chosen].astype(np.float64))


def ece(matrix: AccuracyMatrix, scores: Scores) -> float:
    chosen = _tested(matrix, scores)
    return calibration_error(np.exp(scores.confidence[chosen]), scores.right[chosen])


def calibration_error(confidence: Floats, right: Right) -> float:
    """The expected calibration error of answers with these probabilities [n]; NaN for no answers or an unknown one."""
    if not len(right) or np.isnan(confidence).any():
        return np.nan
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)  # (0, 1/15], (1/15, 2/15], ...
    gaps = np.bincount(bins, weights=right - confidence, minlength=BINS)  # n_b (acc_b - conf_b)
    return float(np.abs(gaps).sum() / len(right))


def nll(matrix: AccuracyMatrix, scores: Scores) -> float:
    return -mean(scores.likelihood[_tested(matrix, scores)])


def _tested(matrix: AccuracyMatrix, scores: Scores) -> NDArray[np.bool_]:
    if not matrix.steps:
        return np.zeros(len(scores.group), dtype=np.bool_)
    return np.asarray(matrix.answered()[-1][scores.group])
