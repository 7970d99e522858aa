"""Accuracy on all images seen so far against tasks, mean over seeds with the 95 % interval of the mean.

Where images of some tasks may have several classes it is the mean over tasks, of their mean average precision too.
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from cl.records.formulas import accuracy_shown
from cl.records.matrix import steps_of
from cl.results.leaderboard.statistics import confidence_interval
from cl.results.plots import style
from cl.results.plots.rows import Board, Floats, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(board: Board) -> dict[str, Any]:
    """Percent per row and step: mean, low and high (None if undefined, or below two seeds).

    `partly` is present and true if steps test only part of the learned groups, such as the told task; `by_task` if the
    values are means over tasks.
    """
    rows = []
    for row in board.rows:
        lines = row.curves(accuracy_shown)
        bands = [interval(step) for step in lines.T]
        rows.append(
            {
                "label": row.label,
                "bound": row.bound,
                "seeds": len(row.records),
                "mean": percents(lines.mean(axis=0)),
                "low": percents([low for low, _ in bands]),
                "high": percents([high for _, high in bands]),
            }
        )
    steps = [task + 1 for task in steps_of(board.result)]
    found: dict[str, Any] = {"title": board.title, "subtitle": board.subtitle, "tasks": steps, "rows": rows}
    found |= {"by_task": True} if board.by_task else {}
    return found | ({"partly": True} if any(map(_partly, board.rows)) else {})


def _partly(row: Row) -> bool:
    """Whether a step with tests leaves out a group that was learned."""
    matrix = row.matrices[0]
    evaluated, steps = matrix.evaluated(), np.arange(matrix.steps)[:, None]
    left_out = (matrix.learned[None, :] <= steps) & ~evaluated & (matrix.count > 0)
    return bool((left_out.any(axis=1) & evaluated.any(axis=1)).any())


def percents(values: Floats | list[float]) -> list[float | None]:
    """Fractions as percent to four decimals, None if undefined."""
    plain = values.tolist() if isinstance(values, np.ndarray) else [float(value) for value in values]
    return [None if isnan(value) else round(100 * value, 4) for value in plain]


def draw(data: dict[str, Any], theme: style.Theme) -> Figure:
    """The figure of what `data` returned."""
    from matplotlib.ticker import MaxNLocator

    rows, tasks = data["rows"], data["tasks"]
    figure = style.new_figure(6.4, style.height_for(len(rows)))
    axes = figure.add_axes((0, 0, 1, 1))
    ends, rest = [], 0
    for row, look in zip(rows, style.looks([row["bound"] for row in rows], theme), strict=True):
        mean, low, high = (np.array(row[key], dtype=np.float64) for key in ("mean", "low", "high"))
        if np.isnan(mean[-1]):
            continue
        if look.rest:
            style.draw_rest(axes, tasks, mean, look)
            rest += 1
            continue
        if np.isnan(mean[:-1]).all() and len(tasks) > 1:  # trained once, at the end
            axes.axhline(mean[-1], color=look.colour, lw=1.2, ls=look.line)
            axes.plot(tasks[-1], mean[-1], color=look.colour, marker=look.marker, ms=3.6)
        else:
            style.draw_interval(axes, tasks, low, high, look, len(rows))
            axes.plot(tasks, mean, color=look.colour, ls=look.line, marker=look.marker, ms=3.6)
        ends.append((tasks[-1], float(mean[-1]), f"{row['label']}  {mean[-1]:.1f}", look))
    things = "tasks" if data.get("by_task") else "images"
    what = f"the {things} tested then" if data.get("partly") else f"all {things} seen"
    axes.set(
        xlabel="tasks learned", ylabel=f"{'mean accuracy or mAP' if data.get('by_task') else 'accuracy'} on {what}, %"
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.02)
    axes.grid(visible=False, axis="x")
    style.end_labels(axes, ends, theme, rest)
    style.heading(axes, data["title"], data["subtitle"], theme)
    return figure


def interval(values: Floats) -> tuple[float, float]:
    """The 95 % interval of the mean over seeds; NaN below two seeds and if a value is undefined."""
    found = None if np.isnan(values).any() else confidence_interval([float(value) for value in values])
    return found or (np.nan, np.nan)
