"""Which columns a table shows, and the cells of a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cl.errors import UsageError
from cl.results.leaderboard.entries import Run
from cl.results.leaderboard.layout import Layout, Notes, columns_of, spread_of, table_of
from cl.results.leaderboard.ranking import COLUMNS, board_rows

Make = Callable[..., dict[str, Any]]


def test_columns_are_named_as_in_the_csv_file() -> None:
    assert columns_of("strategy, mean,strategy") == ("strategy", "mean") and columns_of("all") == ("all",)
    for text, says in (
        ("stratgy", "Did you mean strategy?"),
        (",", "--columns is empty"),
        ("all,mean", "no column 'all'"),
    ):
        with pytest.raises(UsageError, match=says):
            columns_of(text)


def test_every_column_has_a_cell_that_is_text(make_record: Make) -> None:
    rows = board_rows([Run(make_record())])
    [cells] = table_of(rows, Notes(), Layout(tuple(COLUMNS)))
    assert list(cells) == list(COLUMNS) and all(isinstance(text, str) for text in cells.values())
    assert (cells["strategy"], cells["stream"], cells["n_seeds"]) == ("slca", "split-toy@1", "1")


def test_a_spread_belongs_to_its_metric(make_record: Make) -> None:
    records = [
        make_record([[99, None, None], [99, 99, None], [last] * 3], seed=seed) for seed, last in enumerate((60, 64))
    ]
    [row] = board_rows(map(Run, records))
    assert row["std"] == pytest.approx(0.02 * 2**0.5) == row["stds"]["F_chaudhry"]
    assert spread_of(row, "mean", "std") == spread_of(row, "F_chaudhry", "std") == " +- 2.83"
    assert spread_of(row, "mean", "ci") == " [60.00, 64.00]" and spread_of(row, "F_chaudhry", "ci") == ""
    assert spread_of(row, "mean", "none") == ""


def test_notes_have_one_number_for_each_text() -> None:
    notes = Notes()
    assert [notes.number(text) for text in ("a", "b", "a", "")] == ["1", "2", "1", ""]
    assert list(notes.items()) == [(1, "a"), (2, "b")]
