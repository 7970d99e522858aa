"""Accuracy matrices: rows and groups of a result, and shapes that are refused."""

from __future__ import annotations

import numpy as np
import pytest

from cl.records.matrix import ALWAYS, AccuracyMatrix, matrix_of
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
