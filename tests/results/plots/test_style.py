"""Places of labels, logarithmic axes, and the settings of matplotlib."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cl.results.plots.style import THEMES, heading, log_x, new_figure, save, spread, styled
from tests.help.figures import only, runs

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
