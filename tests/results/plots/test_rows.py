"""Boards of figures: what is limited, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cl.errors import UsageError
from cl.results.plots import plots_of
from cl.results.plots.rows import boards
from tests.help.figures import runs

Make = Callable[..., dict[str, Any]]


def test_limited_runs_and_other_streams_have_figures_of_their_own(make_record: Make) -> None:
    records = runs(make_record, "a", [40]) + runs(make_record, "b", [50], result__limited=True)
    records += runs(make_record, "c", [60], result__stream__options={"tasks": 3, "base": 1})
    records += runs(make_record, "d", [60], status="partial")
    plots = plots_of(records, ["curves"])
    assert [[row["label"] for row in plot.data["rows"]] for plot in plots] == [["c"], ["a"], ["b"]]
    assert len({plot.name for plot in plots}) == 3
    assert "LIMITED" in plots[2].data["subtitle"] and plots[2].name.endswith("-limited")


def test_no_run_or_no_such_rule_is_one_sentence(make_record: Make) -> None:
    with pytest.raises(UsageError, match="complete"):
        boards(runs(make_record, "a", [40], status="partial"))
    with pytest.raises(UsageError, match="rule 'dil'; they have: cil_seen"):
        boards(runs(make_record, "a", [40]), "dil")
    with pytest.raises(UsageError, match="kind of plot 'pie'"):
        plots_of(runs(make_record, "a", [40]), ["pie"])
