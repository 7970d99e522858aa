"""Forgetting (F_chaudhry) of every row as bars, with the 95 % interval of the mean over seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cl.results.plots import page, style
from cl.results.plots.curves import interval, percents
from cl.results.plots.rows import Board

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(board: Board) -> dict[str, Any]:
    """Percent per row, least forgetting first; rows without a defined value are named in `without`."""
    rows, without = [], []
    for row in board.rows:
        mean = row.mean("F_chaudhry")
        if np.isnan(mean):
            without.append(row.label)
            continue
        low, high = interval(row.values("F_chaudhry"))
        values = percents([mean, low, high])
        rows.append({"label": row.label, "bound": row.bound, "seeds": len(row.records)})
        rows[-1] |= dict(zip(("mean", "low", "high"), values, strict=True))
    rows.sort(key=lambda row: (row["mean"], row["label"]))
    return {"title": board.title, "subtitle": board.subtitle, "rows": rows, "without": without}


def draw(data: dict[str, Any], theme: style.Theme) -> Figure:
    """The figure of what `data` returned."""
    rows = data["rows"]
    figure = style.new_figure(5.6, max(0.27 * len(rows), 0.8))
    axes = figure.add_axes((0, 0, 1, 1))
    places = np.arange(len(rows))
    colours = [theme.bound if row["bound"] else theme.series[0] for row in rows]
    axes.barh(places, [row["mean"] for row in rows], height=0.66, color=colours)
    for place, row in zip(places, rows, strict=True):
        if row["low"] is not None:
            axes.plot([row["low"], row["high"]], [place, place], color=theme.ink, lw=1.3, solid_capstyle="butt")
        edge = max(row["mean"], row["high"] or row["mean"], 0)
        axes.annotate(f"{row['mean']:.1f}", (edge, place), xytext=(5, 0), textcoords="offset points", va="center",
                      fontsize=page.scaled(9), annotation_clip=False)  # fmt: skip
    axes.axvline(0, color=theme.ink, lw=0.8)
    axes.set_yticks(places, [row["label"] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(page.wrapped("forgetting (F_chaudhry), points; less is better", 10, 0.55))
    if data["without"]:
        low = -page.scaled(44 + 13 * axes.get_xlabel().count("\n"))
        axes.annotate("undefined: " + ", ".join(data["without"]), (0, 0), xytext=(0, low), xycoords="axes fraction",
                      textcoords="offset points", fontsize=page.scaled(8.5), color=theme.bound,
                      annotation_clip=False)  # fmt: skip
    style.heading(axes, data["title"], data["subtitle"], theme)
    return figure
