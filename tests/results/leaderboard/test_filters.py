"""Filters and the best rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cl.errors import UsageError
from cl.results.leaderboard.entries import Run
from cl.results.leaderboard.filters import FILTERS, best, checked, passes, patterns_of

Make = Callable[..., dict[str, Any]]


def test_patterns_are_lists_by_column() -> None:
    found = patterns_of(["strategy=slca, e*", "options=", "strategy=l2"])
    assert found == {"strategy": ["slca", "e*", "l2"], "options": [""]}
    with pytest.raises(UsageError, match="needs COLUMN=PATTERN"):
        patterns_of(["slca"])
    with pytest.raises(UsageError, match="Did you mean strategy"):
        checked({"stratgy": ["a"]})


def test_a_run_passes_if_every_column_matches_one_pattern(make_record: Make) -> None:
    run = Run(make_record(strategy="ewc"))
    assert set(run.summary.shown) == set(FILTERS)
    assert passes(run, {"strategy": ["l2", "e?c"], "stream": ["split-toy@1"]}) and passes(run, {"options": [""]})
    assert not passes(run, {"strategy": ["e*"], "stream": ["split-other"]})


def test_the_best_rows_are_ranked_ones_and_bounds_stay() -> None:
    def kept(rows: str, number: int | None) -> str:
        return "".join(best(list(rows), number, str.isdigit, lambda row: row == "b"))

    assert kept("12b3x", 2) == "12b" and kept("12b3x", None) == "12b3x"
    assert kept("xyz", 2) == "xy"  # nothing is ranked, such as limited runs
