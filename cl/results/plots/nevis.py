"""Error against cumulative training compute, as in NEVIS'22 (Bornschein et al. 2022): one line per row, one end each.

The error of a task is 1 - accuracy right after training. A line shows its mean over the tasks so far against the FLOPs
of all training so far, hyper-parameter trials included, as if nothing had been memoised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cl.errors import UsageError
from cl.results.pareto import Learned, error_curve, front_of
from cl.results.plots import style
from cl.results.plots.curves import percents
from cl.results.plots.rows import Board, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _curves(row: Row, rule: str) -> list[list[Learned]]:
    """The error curves of a row's runs; empty if a run lacks errors or FLOPs per task."""
    try:
        return [error_curve(record, rule=rule) for record in row.records]
    except UsageError:
        return []


def data(board: Board) -> dict[str, Any]:
    """Per row the mean over seeds of TFLOP and error (percent) after each task, and the labels on the Pareto front.

    Rows without FLOPs per task, or whose tasks have no error of their own, are named in `without`.
    """
    rows: list[dict[str, Any]] = []
    without = []
    for row in board.rows:
        curves = _curves(row, board.rule)
        if len({len(curve) for curve in curves}) != 1:
            without.append(row.label)
            continue
        flops = np.mean([[each.flops for each in curve] for curve in curves], axis=0) / 1e12
        errors = np.mean([[each.average for each in curve] for curve in curves], axis=0)
        rows.append(
            {
                "label": row.label,
                "bound": row.bound,
                "seeds": len(row.records),
                "tflop": [float(f"{value:.6g}") for value in flops],
                "error": percents(errors),
            }
        )
    rivals = [row for row in rows if not row["bound"]]
    front = front_of([(row["tflop"][-1], -row["error"][-1]) for row in rivals])
    names = [rivals[index]["label"] for index in front]
    return {"title": board.title, "subtitle": board.subtitle, "rows": rows, "front": names, "without": without}


def draw(data: dict[str, Any], theme: style.Theme) -> Figure:
    """The figure of what `data` returned."""
    rows = data["rows"]
    figure = style.new_figure(6.4, style.height_for(len(rows)))
    axes = figure.add_axes((0, 0, 1, 1))
    ends, rest = [], 0
    for row, look in zip(rows, style.looks([row["bound"] for row in rows], theme), strict=True):
        if look.rest:
            style.draw_rest(axes, row["tflop"], row["error"], look)
            rest += 1
            continue
        axes.plot(row["tflop"], row["error"], color=look.colour, ls=look.line, lw=1.2, alpha=0.75)
        x, y = row["tflop"][-1], row["error"][-1]
        axes.plot(x, y, color=look.colour, marker=look.marker, ms=7, ls="")
        ends.append((x, y, f"{row['label']}  {y:.1f}", look))
    best = sorted((row["tflop"][-1], row["error"][-1]) for row in rows if row["label"] in data["front"])
    if best:
        axes.step(*zip(*best, strict=True), where="post", color=theme.ink, lw=1.0, alpha=0.7)
    if rows and min(row["tflop"][0] for row in rows) > 0:
        style.log_x(axes, *axes.get_xlim())
    axes.set(xlabel="training compute so far, TFLOP", ylabel="error when learned, mean over tasks so far, %")
    style.end_labels(axes, ends, theme, rest)
    words = f"{data['subtitle']}; the step line joins what nothing beats"
    words += f"; no FLOPs or errors per task: {', '.join(data['without'])}" if data["without"] else ""
    style.heading(axes, data["title"], words, theme)
    return figure
