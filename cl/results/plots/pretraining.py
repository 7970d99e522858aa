"""Accuracy of the probe against tasks: how much of the pretraining the network still holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cl.records.matrix import steps_of
from cl.records.probe import ProbeCurve, probe_of
from cl.results.plots import style
from cl.results.plots.curves import interval, percents
from cl.results.plots.rows import Board, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(board: Board) -> dict[str, Any]:
    """Percent per row before the first task and after each step: mean, low and high, None if not measured.

    `tasks` begins with 0. Rows without a probe are left out; `probes` are the datasets of the others.
    """
    rows: list[dict[str, Any]] = []
    probes: set[str] = set()
    for row in board.rows:
        curves = _curves(row)
        if len(curves) < len(row.records):
            continue
        lines = np.array([[curve.before, *curve.after] for curve in curves])
        bands = [interval(step) for step in lines.T]
        probes |= {record["result"]["probe"]["dataset"] for record in row.records}
        rows.append({"label": row.label, "bound": row.bound, "seeds": len(row.records)})
        rows[-1] |= {
            "mean": percents(lines.mean(axis=0)),
            "low": percents([low for low, _ in bands]),
            "high": percents([high for _, high in bands]),
        }
    tasks = [0, *(task + 1 for task in steps_of(board.result))]
    return {
        "title": board.title, "subtitle": board.subtitle, "tasks": tasks, "probes": sorted(probes), "rows": rows,
    }  # fmt: skip


def _curves(row: Row) -> list[ProbeCurve]:
    found = (probe_of(record["result"]) for record in row.records)
    return [curve for curve in found if curve is not None]


def draw(data: dict[str, Any], theme: style.Theme) -> Figure:
    """The figure of what `data` returned."""
    from matplotlib.ticker import MaxNLocator

    rows, tasks = data["rows"], np.array(data["tasks"])
    figure = style.new_figure(6.4, style.height_for(len(rows)))
    axes = figure.add_axes((0, 0, 1, 1))
    ends, rest = [], 0
    for row, look in zip(rows, style.looks([row["bound"] for row in rows], theme), strict=True):
        mean, low, high = (np.array(row[key], dtype=np.float64) for key in ("mean", "low", "high"))
        known = np.isfinite(mean)  # with --probe-last two points
        if look.rest:
            style.draw_rest(axes, tasks[known], mean[known], look)
            rest += 1
            continue
        style.draw_interval(axes, tasks[known], low[known], high[known], look, len(rows))
        axes.plot(tasks[known], mean[known], color=look.colour, ls=look.line, marker=look.marker, ms=3.6)
        last = float(mean[known][-1])
        ends.append((int(tasks[known][-1]), last, f"{row['label']}  {last:.1f}", look))
    axes.set(xlabel="tasks learned", ylabel=f"accuracy of a linear probe on {', '.join(data['probes'])}, %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.02)
    axes.grid(visible=False, axis="x")
    style.end_labels(axes, ends, theme, rest)
    style.heading(axes, data["title"], data["subtitle"], theme)
    return figure
