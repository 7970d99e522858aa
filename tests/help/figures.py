"""Records and figures for tests of plots."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from cl.results.plots import THEMES, Plot, plots_of
from cl.results.plots.style import styled

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
