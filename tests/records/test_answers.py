"""Metrics of single answers, by hand and against scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.records.answers import (
    Answers,
    ByClass,
    Scores,
    answers_of,
    confusion,
    flips_between,
    flips_by_step,
    scores_of,
)
from cl.records.matrix import AccuracyMatrix
from cl.records.metrics import METRICS, metrics_of
from cl.records.predictions import ABSENT, Predictions, read_predictions, write_predictions
from cl.records.reasons import why_undefined

# Four images of task 0 (classes 0, 1), two of task 1 (class 2).
LABEL, GROUP = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 0, 0, 1, 1])
PREDICTION = np.array([[0, 1, 1, 1, ABSENT, ABSENT], [0, 0, 2, 2, 2, ABSENT]])
MATRIX = AccuracyMatrix.of([[3, None], [2, 1]], [4, 2])


def answered() -> Answers:
    return Answers(LABEL, GROUP, PREDICTION)


def test_flips_count_the_images_tested_after_both_steps() -> None:
    assert flips_between(MATRIX, answered(), 0, 1) == (2 / 4, 1 / 4)
    assert flips_between(MATRIX, answered(), 1, 0) == (1 / 4, 2 / 4)
    assert METRICS["NFR"].compute(MATRIX, answered()) == 0.5
    assert METRICS["PFR"].compute(MATRIX, answered()) == 0.25
    one = AccuracyMatrix.of([[3]], [4])
    assert np.isnan(METRICS["NFR"].compute(one, Answers(LABEL[:4], GROUP[:4], PREDICTION[:1, :4])))


def test_flips_by_step_are_those_between_neighbours_and_belong_to_their_answers() -> None:
    rng = np.random.default_rng(0)
    matrix = AccuracyMatrix.of([[1, None, 2], [1, 1, None], [None, 1, 1], [1, 1, 1]], [30] * 3)
    one, two = (
        Answers(np.arange(90) % 5, np.repeat([0, 1, 2], 30), rng.integers(0, 5, size=(4, 90))) for _ in range(2)
    )
    for answers in (one, two, one):
        got = flips_by_step(matrix, answers)
        want = [flips_between(matrix, answers, step - 1, step) for step in (1, 2, 3)]
        assert np.array_equal(got, want) and got.shape == (3, 2) and 0 < got[0, 0] < 1
        right = answers.right[:, :30]  # by hand: steps 1 and 2 share the first group
        assert want[0] == (np.mean(right[0] & ~right[1]), np.mean(~right[0] & right[1]))
    assert flips_by_step(AccuracyMatrix.of([], [4, 2]), answered()).shape == (0, 2)


def test_tasks_that_are_not_learned_yet_are_no_flips() -> None:
    """With evaluate_on=all every row has all groups; the second is learned at step 1."""
    every = AccuracyMatrix.of([[3, 0], [2, 1]], [4, 2])
    assert flips_between(every, answered(), 0, 1) == (2 / 4, 1 / 4)


def test_confusion_has_a_column_for_no_answer() -> None:
    want = [[2, 0, 0, 0], [0, 0, 2, 0], [0, 0, 1, 1]]
    np.testing.assert_array_equal(confusion(MATRIX, answered(), 3), want)
    assert METRICS["F1_macro"].compute(MATRIX, answered()) == pytest.approx((1 + 0 + 2 * 1 / (2 + 3)) / 3)


def test_macro_f1_and_confusion_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    label = rng.integers(0, 5, 200)
    answer = np.where(rng.random(200) < 0.6, label, rng.integers(0, 5, 200))
    matrix = AccuracyMatrix.of([[int((label == answer).sum())]], [200])
    found = Answers(label, np.zeros(200, np.int64), answer[None])
    assert METRICS["F1_macro"].compute(matrix, found) == pytest.approx(metrics.f1_score(label, answer, average="macro"))
    np.testing.assert_array_equal(confusion(matrix, found, 5)[:, :5], metrics.confusion_matrix(label, answer))


def test_precision_recall_and_f1_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    label, answer = rng.integers(0, 5, 300), rng.integers(0, 4, 300)  # nothing is answered with the last class
    table = np.zeros((5, 6), np.int64)
    np.add.at(table, (label, answer), 1)
    found = ByClass.of(table)
    precision, recall, f1, images = metrics.precision_recall_fscore_support(label, answer, zero_division=np.nan)
    for ours, theirs in ((found.precision, precision), (found.recall, recall), (found.images, images)):
        np.testing.assert_allclose(ours, theirs)
    np.testing.assert_allclose(found.f1, np.nan_to_num(f1))
    assert np.isnan(found.precision[4]) and found.recall[4] == 0


def test_scores_by_hand() -> None:
    p_answer, p_own = np.array([0.9, 0.65, 0.6, 0.2]), np.array([0.9, 0.1, 0.6, 0.05])
    right, rank = np.array([True, False, True, False]), np.array([0, 4, 0, 5])
    scores = Scores(np.zeros(4, np.int64), right, rank, np.log(p_answer), np.log(p_own))
    matrix = AccuracyMatrix.of([[2]], [4])
    assert METRICS["top5"].compute(matrix, scores) == 0.75
    assert METRICS["NLL"].compute(matrix, scores) == pytest.approx(-np.log(p_own).mean())
    # 0.9 is in bin 14, 0.65 in bin 10 and 0.6 in bin 9 of 15, 0.2 in bin 3.
    want = (abs(1 - 0.9) + abs(0 - 0.65) + abs(1 - 0.6) + abs(0 - 0.2)) / 4
    assert METRICS["ECE"].compute(matrix, scores) == pytest.approx(want)
    together = Scores(scores.group[:2], right[:2], rank[:2], np.log([0.62, 0.66]), scores.likelihood[:2])
    assert METRICS["ECE"].compute(AccuracyMatrix.of([[1]], [2]), together) == pytest.approx(abs(1 - 0.62 - 0.66) / 2)


def stored(**more: Any) -> Predictions:
    return Predictions(np.arange(6), LABEL, GROUP, {"cil_seen": PREDICTION}, {}, **more)


def result() -> dict[str, Any]:
    groups = [{"classes": [0, 1], "task": 0}, {"classes": [2], "task": 1}]
    return {
        "stream": {"setting": "class-incremental", "n_tasks": 2, "groups": groups},
        "rows": [{"event": i, "task": i, "split": "test"} for i in (0, 1)],
        "count": [4, 2], "accuracy": {"cil_seen": {"correct": [[3, None], [2, 1]]}},
    }  # fmt: skip


def test_metrics_of_takes_the_stored_predictions() -> None:
    assert metrics_of(result())["cil_seen"]["NFR"] is None
    found = metrics_of(result(), predictions=stored())["cil_seen"]
    assert (found["NFR"], found["PFR"], found["top5"]) == (0.5, 0.25, None)
    np.testing.assert_array_equal(answers_of(result(), stored(), "cil_seen").prediction, PREDICTION)
    table = np.zeros((2, 6))
    scores = {
        "rank": {"cil_seen": table.astype(int)},
        "confidence": {"cil_seen": table},
        "likelihood": {"cil_seen": table},
    }
    assert scores_of(result(), stored(), "cil_seen") is None
    found = metrics_of(result(), predictions=stored(scores=scores))["cil_seen"]
    assert (found["top5"], found["NLL"], found["ECE"]) == (1.0, 0.0, 0.5)
    # A run that was continued without --save-scores has no scores after its last task.
    table = np.array([[0.0] * 6, [np.nan] * 6])
    cut = {kind: {"cil_seen": np.full((2, 6), 65535) if kind == "rank" else table} for kind in scores}
    found = metrics_of(result(), predictions=stored(scores=cut))["cil_seen"]
    assert (found["top5"], found["NLL"], found["ECE"]) == (None, None, None)
    why = why_undefined(result(), "cil_seen", "top5", predictions=stored(scores=cut))
    assert why.startswith("the last evaluation did not store scores; run it again with --save-scores")


@pytest.mark.parametrize("likelihood", [-np.inf, -1e6])
def test_a_class_of_probability_zero_makes_the_likelihood_infinite(tmp_path: Path, likelihood: float) -> None:
    """The file must not turn it into the smallest float16, which would be a mean like any other."""
    table = np.zeros((2, 6))
    own = table.copy()
    own[1, 3] = likelihood
    scores = {
        "rank": {"cil_seen": table.astype(int)},
        "confidence": {"cil_seen": table},
        "likelihood": {"cil_seen": own},
    }
    write_predictions(tmp_path / "predictions.npz", stored(scores=scores))
    read = read_predictions(tmp_path / "predictions.npz")
    found = metrics_of(result(), predictions=read)["cil_seen"]
    assert (found["NLL"], found["top5"], found["ECE"]) == (None, 1.0, 0.5)
    assert why_undefined(result(), "cil_seen", "NLL", predictions=read).startswith(
        "it is infinite: the class of an image"
    )
