"""The accuracy matrix as a heat map: rows are steps, columns groups of test images; mean over seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cl.records.matrix import steps_of
from cl.results.plots import style
from cl.results.plots.curves import percents
from cl.results.plots.rows import Board, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NUMBERS = 24
"""Maximum number of columns with numbers; larger matrices show colours only."""


def data(board: Board, row: Row) -> dict[str, Any]:
    """Percent per step and group, None for entries not measured."""
    accuracy = np.mean([matrix.accuracy for matrix in row.matrices], axis=0)
    result = row.records[0]["result"]
    return {
        "title": f"{row.label}: accuracy, %",
        "subtitle": f"{board.title}, rule {board.rule}, {len(row.records)} seed{'s' * (len(row.records) > 1)}"
        + (", LIMITED runs" if board.limited else ""),
        "tasks": [task + 1 for task in steps_of(result)],
        "groups": [group["name"] for group in result["stream"]["groups"]],
        "accuracy": [percents(values) for values in accuracy],
    }


def draw(data: dict[str, Any], theme: style.Theme) -> Figure:
    """The figure of what `data` returned."""
    values = np.array(data["accuracy"], dtype=np.float64)
    steps, groups = values.shape
    cell = min(0.46, max(0.11, 11 / max(steps, groups)))
    figure = style.new_figure(max(groups * cell, 2.2), max(steps * cell * 0.8, 1.4))
    axes = figure.add_axes((0, 0, 1, 1))
    colours = style.scale(theme)
    axes.imshow(np.ma.masked_invalid(values), cmap=colours, vmin=0, vmax=100, aspect="auto", interpolation="none")
    if max(groups, steps) <= _MOST_NUMBERS:
        for (step, group), value in np.ndenumerate(values):
            if not np.isnan(value):
                axes.text(group, step, f"{value:.0f}", ha="center", va="center", fontsize=8.5 if cell > 0.4 else 7,
                          color=style.contrasting(colours(value / 100)))  # fmt: skip
    names = data["groups"]
    every = max(1, int(np.ceil(0.17 / cell)))
    long = max(map(len, names)) > 4
    axes.set_xticks(range(0, groups, every), names[::every], rotation=90 if long else 0, fontsize=8.5)
    axes.set_yticks(range(0, steps, every), [str(task) for task in data["tasks"][::every]], fontsize=8.5)
    axes.set(xlabel="tested on", ylabel="after task")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    style.heading(axes, data["title"], data["subtitle"], theme)
    return figure
