"""Accuracy of the probe against tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cl.results.plots import plots_of
from tests.help.figures import only, runs, texts
from tests.help.records import build_probe

Make = Callable[..., dict[str, Any]]


def test_rows_with_a_probe_begin_before_the_first_task(make_record: Make) -> None:
    records = runs(make_record, "a", [40, 60], result__probe=build_probe([120, 110, 130, 90]))
    records += runs(make_record, "b", [50], result__probe=build_probe([120, 80], tasks=(None, 2)))
    records += runs(make_record, "none", [50])
    data = only(records, "pretraining").data
    assert (data["tasks"], data["probes"]) == ([0, 1, 2, 3], ["other"])
    found = {row["label"]: row for row in data["rows"]}
    assert found["a"]["mean"] == [60.0, 55.0, 65.0, 45.0] and found["a"]["seeds"] == 2
    assert found["b"]["mean"] == [60.0, None, None, 40.0] and set(found) == {"a", "b"}


def test_the_figure_is_drawn_also_with_gaps(make_record: Make, tmp_path: Path) -> None:
    plot = only(runs(make_record, "a", [40], result__probe=build_probe([120, 80], tasks=(None, 2))), "pretraining")
    assert any("a  40.0" in text for text, _ in texts(plot)[0])
    assert b"linear probe on other" in plot.save(tmp_path / "x.svg").read_bytes()
    assert plots_of(runs(make_record, "a", [40]), ["pretraining"]) == []
