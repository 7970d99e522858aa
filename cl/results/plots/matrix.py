"""The accuracy matrix as a heat map: rows are steps, columns groups of test images; mean over seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cl.records.matrix import steps_of
from cl.results.facts import group_name
from cl.results.plots import style
from cl.results.plots.curves import percents
from cl.results.plots.heat_map import MOST_NUMBERS, heat_map
from cl.results.plots.rows import Board, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TASK = "task "


def data(board: Board, row: Row) -> dict[str, Any]:
    """Percent per step and group, None for entries not measured."""
    accuracy = np.mean([matrix.accuracy for matrix in row.matrices], axis=0)
    result = row.records[0]["result"]
    return {
        "title": f"{row.label}: accuracy, %",
        "subtitle": f"{board.title}, rule {board.rule}, {len(row.records)} seed{'s' * (len(row.records) > 1)}"
        + (", LIMITED runs" if board.limited else ""),
        "tasks": [task + 1 for task in steps_of(result)],
        "groups": [group_name(group) for group in result["stream"]["groups"]],
        "accuracy": [percents(values) for values in accuracy],
    }


def draw(data: dict[str, Any], theme: style.Theme) -> Figure:
    """The figure of what `data` returned."""
    values = np.array(data["accuracy"], dtype=np.float64)
    steps, groups = values.shape
    cell = min(0.46, max(0.11, 11 / max(steps, groups)))
    numbered = all(name.startswith(_TASK) for name in data["groups"])
    names = [name.removeprefix(_TASK) for name in data["groups"]] if numbered else data["groups"]
    figure, axes = heat_map(
        values,
        names,
        [str(task) for task in data["tasks"]],
        theme,
        cell=(cell, cell * 0.8),
        label_size=8.5,
        number_size=(8.5 if cell > 0.4 else 7) if max(groups, steps) <= MOST_NUMBERS else None,
        turned=max(map(len, names)) > 4,
    )
    axes.set(xlabel="tested on task" if numbered else "tested on", ylabel="after task")
    style.heading(axes, data["title"], data["subtitle"], theme)
    return figure
