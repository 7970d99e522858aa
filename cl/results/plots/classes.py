"""Precision, recall and F1 of every class after the last task as a heat map; counts are summed over seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cl.records.answers import ByClass
from cl.results.plots import style
from cl.results.plots.confusion import FolderOf, described, summed
from cl.results.plots.curves import percents
from cl.results.plots.heat_map import heat_map
from cl.results.plots.rows import Board, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("precision", "recall", "F1")


def data(board: Board, row: Row, folder_of: FolderOf) -> dict[str, Any] | None:
    """Percent of `COLUMNS` for each class, worst F1 first; None if a run has no predictions.

    A value that is not defined, such as the precision of a class that no image was answered with, is None.
    """
    counts = summed(board, row, folder_of)
    if counts is None:
        return None
    found, about = ByClass.of(counts), described(board, row)
    tested = np.flatnonzero(found.images > 0)
    order = sorted(tested.tolist(), key=lambda place: (found.f1[place], about["classes"][place]))
    return {
        "title": f"{row.label}: precision, recall and F1 by class, %",
        **about,
        "classes": [about["classes"][place] for place in order],
        "images": [int(found.images[place]) for place in order],
        "table": [percents([found.precision[place], found.recall[place], found.f1[place]]) for place in order],
    }


def draw(data: dict[str, Any], theme: style.Theme) -> Figure:
    """The figure of what `data` returned."""
    values = np.array(data["table"], dtype=np.float64).reshape(-1, len(COLUMNS))
    names = [f"{name} ({images})" for name, images in zip(data["classes"], data["images"], strict=True)]
    figure, axes = heat_map(
        values, COLUMNS, names, theme, cell=(0.8, 0.2), label_size=7.5, number_size=7.5, turned=False
    )  # fmt: skip
    axes.set_ylabel("class (test images)")
    style.heading(axes, data["title"], data["subtitle"], theme)
    return figure
