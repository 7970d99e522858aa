"""Accuracy matrices: rows and groups of a result, and shapes that are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cl.records.matrix import ALWAYS, AccuracyMatrix, Matrices, classes_of, continual_of, matrix_of
from cl.records.metrics import METRICS
from tests.help.matrices import result_of, values


def test_ragged_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="2 entries"):
        AccuracyMatrix.of([[1, 2], [1]], [3, 3])
    with pytest.raises(ValueError, match="2 entries"):
        AccuracyMatrix.of([[1, 2]], [3, 3], learned=[0])


def test_the_last_row_after_each_task_on_one_split_counts() -> None:
    rows: list[tuple[int | None, str]] = [(0, "test"), (0, "test"), (0, "val"), (1, "test")]
    correct = [[1, None], [8, None], [3, None], [6, 9]]
    result = result_of(correct, rows, [0, 1], split_count={"val": [4, 4]})
    np.testing.assert_array_equal(matrix_of(result, "cil_seen").correct, [[8, np.nan], [6, 9]])
    np.testing.assert_array_equal(matrix_of(result, "cil_seen", "val").accuracy, [[0.75, np.nan]])


def test_groups_belong_to_the_first_evaluation_after_they_were_learned() -> None:
    correct = [[8, 7, None, None], [6, 9, 5, 2]]
    result = result_of(correct, [(1, "test"), (3, "test")], [0, 1, 2, 5], n_tasks=6)
    matrix = matrix_of(result, "cil_seen")
    np.testing.assert_array_equal(matrix.learned, [0, 0, 1, 2])
    # The group of task 5 is not learned yet: it enters nothing.
    assert values(matrix)["A_last_task"] == pytest.approx((6 + 9 + 5) / 30)
    assert values(matrix)["BWT"] == pytest.approx((-2 + 2) / 20)


@pytest.mark.parametrize(("n_tasks", "learned"), [(2, [0, 1]), (5, [ALWAYS, ALWAYS])])
def test_groups_without_a_task(n_tasks: int, learned: list[int]) -> None:
    result = result_of([[8, 1], [6, 9]], [(0, "test"), (1, "test")], [None, None], n_tasks=n_tasks)
    np.testing.assert_array_equal(matrix_of(result, "cil_seen").learned, learned)


def test_mean_average_precision_is_the_accuracy_of_groups_without_counts() -> None:
    matrix = AccuracyMatrix.of(
        [[8, None, None], [6, None, None]], [10, 5, 5], mean_precision=[[None, None, None], [None, 0.25, None]]
    )
    assert np.array_equal(matrix.accuracy, [[0.8, np.nan, np.nan], [0.6, 0.25, np.nan]], equal_nan=True)
    assert matrix.evaluated().tolist() == [[True, False, False], [True, True, False]]
    assert matrix.answered().tolist() == [[True, False, False], [True, False, False]]
    assert np.array_equal(matrix.until(1).accuracy, matrix.accuracy[:1], equal_nan=True)
    moved = matrix.changed(matrix.correct + 1)
    assert moved.accuracy[-1].tolist()[:2] == [0.7, 0.25]
    with pytest.raises(ValueError, match="mean_precision needs 2 rows of 3 entries"):
        AccuracyMatrix.of([[8, None, None]] * 2, [10, 5, 5], mean_precision=[[None] * 3])


def test_what_is_computed_of_a_matrix_is_kept_read_only_and_belongs_to_it_alone() -> None:
    matrix = AccuracyMatrix.of([[8, None], [6, 9]], [10, 10])
    curve = METRICS["A_inc_sample"].compute
    assert matrix.accuracy is matrix.accuracy and curve(matrix) == pytest.approx((0.8 + 0.75) / 2)
    assert curve(matrix.changed(matrix.correct + 1)) == pytest.approx((0.9 + 0.85) / 2)
    assert curve(matrix.until(1)) == pytest.approx(0.8)
    arrays = [matrix.correct, matrix.accuracy, matrix.old, matrix.evaluated(), matrix.answered(), *matrix.own()]
    for array in [*arrays, *(each for each in matrix.kept.values() if isinstance(each, np.ndarray))]:
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def drawn(rng: np.random.Generator, *, domain: bool) -> dict[str, Any]:
    """A result of four tasks and eight classes: rows between tasks, groups without images or without an answer."""
    members = [list(range(8))] * 4 if domain else [[0, 1], [4, 2], [3], [5, 6, 7]]
    tasks = [0, 1, None, 3] if domain else [0, 1, 1, 3]
    rows = [(0, "test"), (1, "test"), (1, "val"), (2, "test"), (3, "test")]
    correct = [[None if rng.random() < 0.3 else int(rng.integers(0, 9)) for _ in range(4)] for _ in rows]
    rules = {"cil_seen": correct, "til_masked": correct[::-1]}
    result = result_of([], rows, tasks, rules=rules, split_count={"val": [10] * 4}, class_count=[3] * 8)  # type: ignore[arg-type]
    for group, classes in zip(result["stream"]["groups"], members, strict=True):
        group["classes"] = classes
    result["count"][int(rng.integers(0, 4))] = 0
    for table in result["accuracy"].values():
        table["class_correct"] = rng.integers(0, 4, size=(len(rows), 8)).tolist()
    if rng.random() < 0.5:
        for row in result["rows"]:
            row["seen"] = int(rng.integers(1, 9))
    return result


@pytest.mark.parametrize("domain", [False, True])
def test_the_matrix_of_classes_against_a_plain_loop(domain: bool) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        result = drawn(rng, domain=domain)
        groups = result["stream"]["groups"]
        ends = [0, 1, 4]  # no group has task 2
        table = result["accuracy"]["cil_seen"]
        want = np.array([table["class_correct"][row] for row in ends], dtype=np.float64)
        learned = np.full(8, len(ends))
        tasks = [result["rows"][row]["task"] for row in ends]
        own = [index if group["task"] is None else group["task"] for index, group in enumerate(groups)]
        for index, group in enumerate(groups):
            learned[group["classes"]] = np.minimum(learned[group["classes"]], np.searchsorted(tasks, own[index]))
            for place, row in enumerate(ends):
                if result["count"][index] and table["correct"][row][index] is None:
                    want[place, group["classes"]] = np.nan
        for place, row in enumerate(ends):
            known = [max(group["classes"]) + 1 for group, task in zip(groups, own, strict=True) if task <= tasks[place]]
            want[place, result["rows"][row].get("seen", max(known)) :] = np.nan
        got = classes_of(result, "cil_seen")
        assert got is not None and np.array_equal(got.correct, want, equal_nan=True)
        np.testing.assert_array_equal(got.learned, learned)


def test_the_matrices_of_a_result_are_built_once_and_equal_those_of_one_rule() -> None:
    result = drawn(np.random.default_rng(3), domain=False)
    matrices = Matrices(result)
    assert matrices.of("cil_seen") is matrices.of("cil_seen") is matrices.continual("cil_seen")
    for rule in ("cil_seen", "til_masked"):
        pairs = [(matrices.of(rule), matrix_of(result, rule)), (matrices.continual(rule), continual_of(result, rule))]
        for got, want in [*pairs, (matrices.classes(rule), classes_of(result, rule))]:
            assert got is not None and want is not None
            for name in ("correct", "count", "learned", "sizes"):
                assert np.array_equal(getattr(got, name), getattr(want, name), equal_nan=True), name
    assert not np.array_equal(matrices.of("cil_seen").correct, matrices.of("til_masked").correct, equal_nan=True)
    assert (matrices.steps, matrices.rows) == ([0, 1, 2, 3], [0, 1, 3, 4])
    assert Matrices(result, "val").rows == [2]
