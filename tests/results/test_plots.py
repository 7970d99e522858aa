"""Figures: their numbers, what they leave out, labels that do not overlap, files that repeat."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from cl.cli.app import call
from cl.errors import UsageError
from cl.results import load_results
from cl.results.leaderboard.ranking import leaderboard
from cl.results.pareto import front_of
from cl.results.plots import KINDS, THEMES, Plot, plots_of
from cl.results.plots.rows import boards
from cl.results.plots.style import height_for, log_x, new_figure, spread, styled
from tests.results.on_disk import write_records

Make = Callable[..., dict[str, Any]]
REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference"
LONG = {"value": "cosine-with-warmup-and-restarts", "origin": "command line"}


def runs(make: Make, strategy: str, last: list[int], **changes: Any) -> list[dict[str, Any]]:
    """One run per seed that ends with accuracy `last[seed]` percent on each of three tasks."""
    return [
        make([[99, None, None], [99, 89, None], [value] * 3], strategy=strategy, seed=seed, **changes)
        for seed, value in enumerate(last)
    ]


def only(records: list[dict[str, Any]], kind: str) -> Plot:
    [plot] = plots_of(records, [kind])
    return plot


def many(make: Make, number: int = 30) -> list[dict[str, Any]]:
    """Rows of one strategy with long settings and nearly equal accuracies."""
    records = []
    for index in range(number):
        config = {"lr": {"value": 0.001 * (index + 1), "origin": "command line"}, "schedule": LONG}
        records += runs(make, "a-strategy-of-many-words", [50 + index % 3] * 2, result__config=config)
        for record in records[-2:]:
            record["run_id"] += str(index)
            record["measurement"]["flops"] = {"executed": 1e12, "uncached": 1e12 * (1 + index % 4)}
    return records


def texts(plot: Plot) -> tuple[list[tuple[str, Bbox]], Bbox]:
    """The words of a figure with the places they take, and the place of the whole, in dots."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with styled(THEMES["light"]):
        figure = plot.draw(plot.data, THEMES["light"])
        FigureCanvasAgg(figure).draw()
        renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
        found = [each for each in figure.findobj(Text) if each.get_visible() and each.get_text().strip()]
        boxes = [
            (each.get_text(), Text.get_window_extent(each, renderer))
            if isinstance(each, Annotation)
            else (each.get_text(), each.get_window_extent(renderer))
            for each in found
        ]
        tight = figure.get_tightbbox(renderer).transformed(figure.dpi_scale_trans)
    return boxes, tight


# ------------------------------------------------------------------------------------------------------------ numbers


def test_curves_are_means_with_intervals_over_seeds(make_record: Make) -> None:
    data = only([*runs(make_record, "a", [40, 60]), *runs(make_record, "b", [70])], "curves").data
    best, other = data["rows"]
    assert (best["label"], best["seeds"], best["low"]) == ("b", 1, [None, None, None])
    assert other["mean"] == pytest.approx([99, 94, 50])
    assert other["low"][2] == pytest.approx(40) and other["high"][2] == pytest.approx(60)
    assert other["low"][0] == other["high"][0] == pytest.approx(99)


def test_curves_of_tasks_tested_alone_say_so(make_record: Make) -> None:
    own = [[90, None, None], [None, 80, None], [70, 70, 70]]
    assert only([make_record(own, rules=("til_oracle",))], "curves").data["partly"] is True
    assert "partly" not in only(runs(make_record, "a", [40]), "curves").data
    late = [[None] * 3, [None] * 3, [70, 70, 70]]  # trained at the end, as `joint`
    assert "partly" not in only([make_record(late)], "curves").data


def test_the_figures_of_the_reference_records_show_what_the_leaderboard_says() -> None:
    records = load_results(REFERENCE).records
    board = leaderboard(records)
    rows = [row for plot in plots_of(records, ["curves"]) for row in plot.data["rows"]]
    assert sorted(row["mean"][-1] for row in rows) == pytest.approx(sorted(100 * board["mean"]), abs=1e-3)
    forgetting = [row["mean"] for plot in plots_of(records, ["forgetting"]) for row in plot.data["rows"]]
    assert sorted(forgetting) == pytest.approx(sorted(100 * board["F_chaudhry"].dropna()), abs=1e-3)
    compute = [row["compute"] for plot in plots_of(records, ["cost"]) for row in plot.data["rows"]]
    assert sorted(compute) == pytest.approx(sorted(board["tflops"]), rel=1e-5)


def test_matrix_keeps_what_was_not_measured_apart_from_zero(make_record: Make) -> None:
    data = only([make_record([[90, None, None], [80, 0, None], [60, 75, 50]])], "matrix").data
    assert data["accuracy"] == [[90, None, None], [80, 0, None], [60, 75, 50]]


def test_forgetting_names_the_rows_that_have_none(make_record: Make) -> None:
    once = make_record([[None] * 3, [None] * 3, [60, 60, 60]], strategy="joint", result__strategy__access="past")
    data = only([once, *runs(make_record, "a", [40])], "forgetting").data
    assert ([row["label"] for row in data["rows"]], data["without"]) == (["a"], ["joint"])


def test_bounds_are_not_on_the_front(make_record: Make) -> None:
    bound = runs(make_record, "joint", [90], result__strategy__access="past")
    data = only([*bound, *runs(make_record, "a", [40]), *runs(make_record, "b", [50])], "cost").data
    assert data["front"]["compute"] == ["b"]
    assert data["rows"][0]["bound"] and data["rows"][0]["stored"] == pytest.approx(464e-6)


def test_nevis_counts_training_only_and_the_error_when_learned(make_record: Make) -> None:
    events = [
        ("train 0", 2e12),
        ("evaluate test", 3e12),
        ("train 1", 7e12),
        ("evaluate test", 9e12),
        ("train 2", 10e12),
    ]
    made = [{"event": i, "what": what, "uncached": flops} for i, (what, flops) in enumerate(events)]
    records = runs(make_record, "a", [40], measurement__events=made)
    [row] = only(records, "nevis").data["rows"]
    assert row["tflop"] == [2, 6, 7]
    assert row["error"] == pytest.approx([1, (1 + 11) / 2, (1 + 11 + 60) / 3], abs=1e-3)
    assert plots_of(runs(make_record, "a", [40]), ["nevis"]) == []


def test_stream_overview_says_what_is_learned_and_tested_when(make_record: Make) -> None:
    groups = only([make_record()], "stream").data["groups"]
    assert [group["learned"] for group in groups] == [1, 2, 3]
    assert [group["tested"] for group in groups] == [[True] * 3, [False, True, True], [False, False, True]]


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


# ------------------------------------------------------------------------------------------------------------ geometry

_POINTS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6)).map(lambda p: (float(p[0]), float(p[1]))), max_size=9
)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(_POINTS)
def test_the_front_is_what_no_point_beats(points: list[tuple[float, float]]) -> None:
    front = front_of(points)

    def beats(a: tuple[float, float], b: tuple[float, float]) -> bool:
        return a != b and a[0] <= b[0] and a[1] >= b[1]

    kept = {points[index] for index in front}
    assert kept == {p for p in points if not any(beats(other, p) for other in points)}
    assert len(kept) == len(front) and front == sorted(front, key=lambda index: points[index])


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_labels_keep_their_order_and_distance(values: list[float]) -> None:
    places = np.array(spread(values, 0.05, 0.0, 1.0))
    assert places.min() >= -1e-9 and places.max() <= 1 + 1e-9
    assert (np.diff(np.sort(places)) >= 0.05 - 1e-9).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(places[order]) > 0).all()


@pytest.mark.parametrize("kind", ["curves", "cost", "forgetting"])
def test_thirty_long_labels_neither_overlap_nor_are_cut(make_record: Make, kind: str) -> None:
    plot = only(many(make_record), kind)
    boxes, tight = texts(plot)
    labels = [(text, box) for text, box in boxes if "schedule=" in text]
    assert len(labels) == 30
    for index, (text, box) in enumerate(labels):
        assert not [
            other for other, at in boxes if other != text and at.shrunk(0.9, 0.9).overlaps(box.shrunk(0.9, 0.9))
        ]
        assert (
            tight.x0 - 1 <= box.x0 and box.x1 <= tight.x1 + 1 and tight.y0 - 1 <= box.y0 and box.y1 <= tight.y1 + 1
        ), index
    assert height_for(30) > height_for(3)


# --------------------------------------------------------------------------------------------------------------- files


def test_files_repeat_and_themes_differ(make_record: Make, tmp_path: Path) -> None:
    events = [{"event": i, "what": f"train {i}", "uncached": 1e12 * (i + 1)} for i in range(3)]
    records = runs(make_record, "a", [40, 60], measurement__events=events)
    for plot in plots_of(records):
        first, again = (plot.save(tmp_path / f"{plot.kind}{turn}.svg").read_bytes() for turn in "ab")
        assert first == again
        assert plot.digest.encode() in first and b"<dc:date>" not in first
        assert b"a  " in first or plot.kind in ("matrix", "forgetting", "stream")  # text stays text
    assert {plot.kind for plot in plots_of(records)} == set(KINDS)
    plot = only(records, "curves")
    assert plot.save(tmp_path / "dark.svg", THEMES["dark"]).read_bytes() != (tmp_path / "curvesa.svg").read_bytes()
    png = plot.save(tmp_path / "x.png").read_bytes()
    assert png.startswith(b"\x89PNG") and png == plot.save(tmp_path / "y.png").read_bytes()
    with pytest.raises(UsageError, match=r"svg, png, json"):
        plot.save(tmp_path / "x.pdf")


def test_drawing_leaves_the_settings_of_matplotlib_alone(make_record: Make, tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    only(runs(make_record, "a", [40]), "curves").save(tmp_path / "a.svg")
    assert dict(matplotlib.rcParams) == before


def test_the_command_writes_files_and_prints_them(
    make_record: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_records(tmp_path / "results", runs(make_record, "a", [40, 60]))
    out = tmp_path / "figures"
    arguments = ["plot", str(folder), "--kind", "curves,forgetting", "--format", "svg,json", "--theme", "light,dark"]
    assert call([*arguments, "--out", str(out)]) == 0
    printed = capsys.readouterr().out.split()
    assert sorted(printed) == sorted(str(path) for path in out.iterdir()) and len(printed) == 6
    assert json.loads((out / "curves-split-toy.json").read_text())["rows"][0]["label"] == "a"
    assert call([*arguments, "--out", str(out), "--json"]) == 0
    assert {each["theme"] for each in json.loads(capsys.readouterr().out)} == {"light", "dark"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--kind", "curve"], "Did you mean curves?"), (["--format", "pdf"], "svg"), (["--theme", ","], "empty")],
)
def test_wrong_words_are_one_sentence(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["plot", str(tmp_path), *arguments]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


@pytest.mark.parametrize(("low", "high"), [(0.005, 20.0), (2.0, 90.0)])
def test_numbers_of_a_logarithmic_axis_stand_apart(low: float, high: float) -> None:
    figure = new_figure(6.4, 3.6)
    axes = figure.add_axes((0, 0, 0.3, 1))
    log_x(axes, low, high)  # before anything is drawn, as `cost` does
    axes.plot([low, high], [0, 1])
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
    inside = sorted((box.x0, box.x1) for box in boxes if box.x0 >= 0 and box.x1 <= axes.bbox.x1)
    assert len(inside) >= 3 and all(one[1] < two[0] for one, two in pairwise(inside))
