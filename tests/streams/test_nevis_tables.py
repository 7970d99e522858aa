"""The tables of the NEVIS streams."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("name", "tasks", "multi", "development"),
    [("nevis", 106, 9, 92), ("nevis-short", 29, 2, 25), ("nevis-tiny", 7, 1, 6)],
)
def test_the_official_tables(name: str, tasks: int, multi: int, development: int) -> None:
    from cl.streams.nevis import _tasks

    rows = list(_tasks(name.removeprefix("nevis").removeprefix("-")))
    years = [int(row["year"]) for row in rows]
    assert len(rows) == tasks and years == sorted(years) and sum(year < 2020 for year in years) == development
    assert sum(row["labels"] == "multi" for row in rows) == multi
    if name == "nevis":
        assert len({row["name"] for row in rows}) == 97
