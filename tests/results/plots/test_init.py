"""Figures: their files repeat, their labels do not overlap, and they show what the leaderboard says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.errors import UsageError
from cl.results import load_results
from cl.results.leaderboard.ranking import leaderboard
from cl.results.plots import KINDS, THEMES, plots_of
from cl.results.plots.style import height_for
from tests.help.figures import REFERENCE, many, only, runs, texts

Make = Callable[..., dict[str, Any]]


def test_the_figures_of_the_reference_records_show_what_the_leaderboard_says() -> None:
    records = load_results(REFERENCE).records
    board = leaderboard(records)
    rows = [row for plot in plots_of(records, ["curves"]) for row in plot.data["rows"]]
    assert sorted(row["mean"][-1] for row in rows) == pytest.approx(sorted(100 * board["mean"]), abs=1e-3)
    forgetting = [row["mean"] for plot in plots_of(records, ["forgetting"]) for row in plot.data["rows"]]
    assert sorted(forgetting) == pytest.approx(sorted(100 * board["F_chaudhry"].dropna()), abs=1e-3)
    compute = [row["compute"] for plot in plots_of(records, ["cost"]) for row in plot.data["rows"]]
    assert sorted(compute) == pytest.approx(sorted(board["tflops"]), rel=1e-5)


@pytest.mark.parametrize("kind", ["curves", "cost", "forgetting"])
def test_thirty_long_labels_neither_overlap_nor_are_cut(make_record: Make, kind: str) -> None:
    plot = only(many(make_record), kind)
    boxes, tight = texts(plot)
    labels = [(text, box) for text, box in boxes if "schedule=" in text]
    assert len(labels) == (30 if kind == "forgetting" else 12)
    assert kind == "forgetting" or "and 18 more" in {text for text, _ in boxes}
    for index, (text, box) in enumerate(labels):
        assert not [
            other for other, at in boxes if other != text and at.shrunk(0.9, 0.9).overlaps(box.shrunk(0.9, 0.9))
        ]
        assert (
            tight.x0 - 1 <= box.x0 and box.x1 <= tight.x1 + 1 and tight.y0 - 1 <= box.y0 and box.y1 <= tight.y1 + 1
        ), index
    assert height_for(30, 1.0) == height_for(13, 1.0) > height_for(3, 1.0)


def test_files_repeat_and_themes_differ(make_record: Make, tmp_path: Path) -> None:
    events = [{"event": i, "what": f"train {i}", "uncached": 1e12 * (i + 1)} for i in range(3)]
    records = runs(make_record, "a", [40, 60], measurement__events=events)
    for plot in plots_of(records):
        first, again = (plot.save(tmp_path / f"{plot.kind}{turn}.svg").read_bytes() for turn in "ab")
        assert first == again
        assert plot.digest.encode() in first and b"<dc:date>" not in first
        assert b"a  " in first or plot.kind in ("matrix", "forgetting", "stream")  # text stays text
    lacking = {"architecture", "classes", "confusion", "pretraining", "rank", "tasks", "transfer"}
    assert {plot.kind for plot in plots_of(records)} == set(KINDS) - lacking, (
        "which need several networks, predictions, a probe, runs of several ranks, told tasks, and independent learners"
    )
    plot = only(records, "curves")
    assert plot.save(tmp_path / "dark.svg", THEMES["dark"]).read_bytes() != (tmp_path / "curvesa.svg").read_bytes()
    png = plot.save(tmp_path / "x.png").read_bytes()
    assert png.startswith(b"\x89PNG") and png == plot.save(tmp_path / "y.png").read_bytes()
    with pytest.raises(UsageError, match=r"svg, png, pdf, json"):
        plot.save(tmp_path / "x.jpg")
    pdf = plot.save(tmp_path / "x.pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and pdf == plot.save(tmp_path / "y.pdf").read_bytes()
    assert b"/CreationDate" not in pdf and plot.digest.encode() in pdf and b"/Type3" not in pdf


def test_the_best_rows_are_drawn_with_their_bounds(make_record: Make) -> None:
    records = [run for name, last in (("a", 40), ("b", 60), ("c", 50)) for run in runs(make_record, name, [last])]
    records += runs(make_record, "joint", [30], result__strategy__access="past")
    [plot] = plots_of(records, ["curves"], top=2)
    assert [row["label"] for row in plot.data["rows"]] == ["b", "c", "joint"]
    assert "the best 3 of 4 rows" in plot.data["subtitle"]
    [plot] = plots_of(records, ["curves"], filters={"strategy": ["a", "j*"]})
    assert [row["label"] for row in plot.data["rows"]] == ["a", "joint"]
    with pytest.raises(UsageError, match="No complete run passes the filter"):
        plots_of(records, ["curves"], filters={"strategy": ["z"]})
