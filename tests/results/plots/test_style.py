"""Places of labels, logarithmic axes, and the settings of matplotlib."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import unescape
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cl.results.leaderboard.entries import Run
from cl.results.plots import Page, plots_of
from cl.results.plots.style import (
    MOST,
    THEMES,
    Theme,
    contrasting,
    draw_interval,
    heading,
    log_x,
    looks,
    new_figure,
    save,
    scale,
    spread,
    styled,
)
from tests.help.colours import VISION, ciede2000, contrast, nearest
from tests.help.figures import many, only, runs, texts

Make = Callable[..., dict[str, Any]]


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_labels_keep_their_order_and_distance(values: list[float]) -> None:
    places = np.array(spread(values, 0.05, 0.0, 1.0))
    assert places.min() >= -1e-9 and places.max() <= 1 + 1e-9
    assert (np.diff(np.sort(places)) >= 0.05 - 1e-9).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(places[order]) > 0).all()


def test_drawing_leaves_the_settings_of_matplotlib_alone(make_record: Make, tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    only(runs(make_record, "a", [40]), "curves").save(tmp_path / "a.svg")
    assert dict(matplotlib.rcParams) == before


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


@pytest.mark.parametrize("dpi", [72, 100])
def test_an_svg_has_the_extent_that_matplotlib_finds_by_drawing_twice(dpi: int, tmp_path: Path) -> None:
    theme, found, drawn = THEMES["light"], tmp_path / "found.svg", io.BytesIO()
    with styled(theme):
        for target in (found, drawn):
            figure = new_figure(3.2, 2.1)
            figure.dpi = dpi
            axes = figure.add_axes((0, 0, 1, 1))
            axes.plot([0, 1], [0, 1e6])
            axes.set(xlabel="tasks", ylabel="a long name of what is measured")
            axes.set_xticks([0, 1], ["the first", "the second, far outside"], rotation=90)
            heading(axes, "Title", "subtitle", theme)
            if target is found:
                save(figure, found, theme, "T", "D")
            else:
                metadata = {"Title": "T", "Description": "D", "Date": None, "Creator": None}
                figure.savefig(
                    drawn, format="svg", dpi=160, bbox_inches="tight", pad_inches=0.12, metadata=metadata,
                    facecolor=theme.paper,
                )  # fmt: skip
    size = re.compile(rb'viewBox="0 0 ([0-9.]+) ([0-9.]+)"')
    one, two = (size.search(text) for text in (found.read_bytes(), drawn.getvalue()))
    assert one is not None and two is not None
    assert [float(x) for x in one.groups()] == pytest.approx([float(x) for x in two.groups()], abs=1e-4)


def test_the_difference_of_colours_is_that_of_the_published_pairs() -> None:
    """Pairs 1, 19, 21 and 34 of Sharma, Wu and Dalal (Color Research and Application 2005), table 1."""
    pairs = [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ]
    for one, two, difference in pairs:
        assert float(ciede2000(one, two)) == pytest.approx(difference, abs=1e-4)


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("theme", THEMES.values(), ids=lambda theme: theme.name)
def test_any_two_colours_differ_for_any_vision(theme: Theme, vision: str) -> None:
    difference, one, two = nearest([*theme.series, theme.bound], vision)
    assert difference >= 12, f"{one} and {two}"


@pytest.mark.parametrize("theme", THEMES.values(), ids=lambda theme: theme.name)
def test_lines_and_numbers_have_the_contrast_that_wcag_asks_for(theme: Theme) -> None:
    for paper in [theme.paper] if theme.paper else ["#ffffff", "#000000"]:
        assert all(contrast(colour, paper) >= 3 for colour in theme.series)
        assert contrast(theme.ink, paper) >= (4.5 if theme.paper else 3)
    colours = scale(theme)
    for percent in range(101):
        cell = colours(percent / 100)
        text = contrasting(cell)
        shown = "#" + "".join(f"{round(255 * part):02x}" for part in cell[:3])
        assert contrast(text, shown) >= 4.5, percent


def test_no_two_rows_differ_in_colour_alone() -> None:
    found = looks([False, True, *[False] * 9, True, False, True], THEMES["light"])
    named = [look for look in found if not look.rest]
    assert len(named) == MOST and [look.rest for look in found[MOST:]] == [True, True]
    for one, two in combinations(named, 2):
        assert (one.line, one.marker) != (two.line, two.marker)


def test_more_rows_than_six_have_bars_instead_of_bands() -> None:
    for rows, bands in ((6, 1), (7, 0)):
        axes = new_figure(2, 2).add_axes((0, 0, 1, 1))
        [look] = looks([False], THEMES["light"])
        draw_interval(axes, [1, 2], np.array([1.0, 2.0]), np.array([3.0, 4.0]), look, rows)
        assert len(axes.collections) == bands and len(axes.lines) == 1 - bands


@pytest.mark.parametrize(("kind", "inches"), [("tasks", 4 * 1.8), ("matrix", 4.0), ("stream", 4.0), ("curves", 8.0)])
def test_a_heading_is_no_wider_than_what_is_drawn(kind: str, inches: float, make_record: Make) -> None:
    """Or than four inches, of 100 dots; words are not lost."""
    config = {f"stream.option_{i}": {"value": "a-word", "origin": "command line"} for i in range(8)}
    records = [
        run for name in "abcd" for run in runs(make_record, name, [40], result__config=config, rules=("til_masked",))
    ]
    plot = plots_of(records, [kind])[0]
    boxes, _ = texts(plot)
    [(words, place)] = [(text, box) for text, box in boxes if "option_0" in text]
    assert place.width <= 100 * inches and "option_7=a-word" in words and "\n" in words
    assert " ".join(words.split()) in (plot.data["title"], plot.data["subtitle"])


def test_a_heading_that_fits_is_one_line(make_record: Make) -> None:
    for kind in ("curves", "stream", "forgetting"):
        plot = only(runs(make_record, "a", [40]), kind)
        assert {plot.data["title"], plot.data["subtitle"]} <= {text for text, _ in texts(plot)[0]}


def test_what_has_no_label_is_paler_than_bounds_and_has_a_sample(make_record: Make) -> None:
    from matplotlib.lines import Line2D

    records = [*many(make_record, 14), *runs(make_record, "joint", [90], result__strategy__access="past")]
    for kind, points in (("curves", False), ("cost", True)):
        plot = only(records, kind)
        with styled(THEMES["light"]):
            figure = plot.draw(plot.data, THEMES["light"])
        grey = [line for line in figure.findobj(Line2D) if line.get_color() == THEMES["light"].bound]
        pale = [line for line in grey if line.get_alpha() == 0.45]
        sample = [line for line in pale if len(np.atleast_1d(line.get_xdata())) == 3 and not line.get_clip_on()]
        assert len(sample) == 1 and (sample[0].get_marker() == "o") == points, kind
        assert (sample[0].get_linestyle() == "None") == points
        assert any(line.get_alpha() is None and line.get_marker() == "x" for line in grey), "the bound"


def test_texts_of_a_user_are_drawn_as_they_are(make_run: Callable[..., Run], tmp_path: Path) -> None:
    """In matplotlib a pair of $ encloses mathematics, and a legend leaves out labels that begin with _."""
    odd = r"a$\foo$b"
    run = make_run(np.ones((3, 12), dtype=bool), strategy="_$own$")
    result = run.record["result"]
    result["config"] = {"way": {"value": odd, "origin": "command line"}}
    result["stream"] |= {"name": "folder:$data$", "class_names": [f"$c${label}" for label in range(6)]}
    result["stream"]["groups"] = [group | {"name": f"$x$ {group['name']}"} for group in result["stream"]["groups"]]
    result["accuracy"]["til_masked"] = result["accuracy"]["cil_seen"]
    kinds = set()
    for rule in result["accuracy"]:
        for plot in plots_of([run.record], rule=rule, folders=[run.folder]):
            kinds.add(plot.kind)
            words = _words(plot.save(tmp_path / "a.svg"))
            assert "folder:$data$" in words
            assert plot.kind not in ("confusion", "classes") or "$c$5" in words
            assert plot.kind not in ("matrix", "stream") or "$x$ task 2" in words
            assert plot.kind in ("stream", "tasks") or f"_$own$ way={odd}" in words
            assert odd in _words(plot.save(tmp_path / "a.svg", page=Page(title=odd)))
            if plot.kind == "curves":
                assert "_$own$" in _words(plot.save(tmp_path / "a.svg", page=Page(3.25, 6, title="")))
    assert kinds == {"confusion", "classes", "cost", "curves", "forgetting", "matrix", "stream", "tasks"}


def _words(svg: Path) -> str:
    return " ".join(unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text()))
