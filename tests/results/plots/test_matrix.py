"""Heat maps of accuracy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cl.results.plots import THEMES
from cl.results.plots.style import styled
from tests.help.figures import only

Make = Callable[..., dict[str, Any]]


def test_matrix_keeps_what_was_not_measured_apart_from_zero(make_record: Make) -> None:
    data = only([make_record([[90, None, None], [80, 0, None], [60, 75, 50]])], "matrix").data
    assert data["accuracy"] == [[90, None, None], [80, 0, None], [60, 75, 50]]


def test_columns_count_tasks_as_rows_do(make_record: Make) -> None:
    def axis(record: dict[str, Any]) -> tuple[list[str], str]:
        plot = only([record], "matrix")
        with styled(THEMES["light"]):
            axes = plot.draw(plot.data, THEMES["light"]).axes[0]
        return [label.get_text() for label in axes.get_xticklabels()], axes.get_xlabel()

    assert axis(make_record()) == (["1", "2", "3"], "tested on task")
    named = make_record()
    named["result"]["stream"]["groups"][2]["name"] = "birds"
    assert axis(named) == (["task 1", "task 2", "birds"], "tested on")
