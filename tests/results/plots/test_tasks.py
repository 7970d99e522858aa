"""Accuracy on each task when the task is told: what was learned, and what is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.results import load_results
from cl.results.plots import plots_of
from tests.help.figures import REFERENCE, only, runs, texts

Make = Callable[..., dict[str, Any]]

TOLD = [[90, None, None], [80, 95, None], [70, 85, 99]]


def test_each_task_when_learned_and_at_the_end(make_record: Make) -> None:
    data = only([make_record(TOLD, rules=("til_oracle",))], "tasks").data
    [row] = data["rows"]
    assert row["learned"] == pytest.approx([90, 95, 99]) and row["last"] == pytest.approx([70, 85, 99])
    assert row["low"] == [None] * 3 and len(data["groups"]) == 3


def test_intervals_are_over_seeds(make_record: Make) -> None:
    other = [[90, None, None], [80, 95, None], [50, 85, 99]]
    records = [make_record(cells, rules=("til_oracle",), seed=seed) for seed, cells in enumerate((TOLD, other))]
    [row] = only(records, "tasks").data["rows"]
    assert (
        row["last"][0] == pytest.approx(60)
        and row["low"][0] == pytest.approx(50)
        and row["high"][0] == pytest.approx(70)
    )


def test_rules_that_do_not_tell_the_task_have_no_such_figure(make_record: Make) -> None:
    assert plots_of(runs(make_record, "a", [40]), ["tasks"]) == []


def test_a_panel_per_row_and_the_best_twelve_of_many(make_record: Make, tmp_path: Path) -> None:
    records = []
    for index in range(14):
        cells = [*TOLD[:2], [70 - index, 85, 99]]
        records.append(make_record(cells, rules=("til_oracle",), strategy=f"method-{index}"))
    boxes, _ = texts(only(records, "tasks"))
    names = [text for text, _ in boxes if text.startswith("method-")]
    assert len(names) == 12 and "method-13" not in " ".join(names)
    assert any("the best 12 of 14 rows" in " ".join(text.split()) for text, _ in boxes)


def test_titles_of_panels_do_not_overlap_axes_of_other_panels() -> None:
    plots = plots_of(load_results(REFERENCE / "told-mnist").records, ["tasks"])
    boxes, _ = texts(max(plots, key=lambda plot: len(plot.data["rows"])))
    words = [(text, box) for text, box in boxes if not text.isdigit()]
    assert len(words) > 10
    for text, box in words:
        for other, at in boxes:
            assert other == text or not box.shrunk(0.85, 0.8).overlaps(at.shrunk(0.85, 0.8)), (text, other)
