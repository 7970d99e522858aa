"""The rank of low-rank updates against forgetting of the tasks and of the pretraining."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cl.results.leaderboard.entries import options_text, row_key
from cl.results.plots import style
from cl.results.plots.curves import interval, percents
from cl.results.plots.rows import Board, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OPTIONS = ("rank", "base.rank")
"""Names of the option that holds the rank."""

PANELS = {
    "tasks": ("F_chaudhry", "forgetting of the tasks, points"),
    "pretraining": ("F_pretraining", "forgetting of the pretraining, points"),
}
"""The panels: a metric, and the label of its axis."""


def data(board: Board) -> dict[str, Any]:
    """Series of rows that differ in the rank alone, with two ranks or more: per rank the mean and interval of each
    metric in percent, None if undefined."""
    series: dict[Hashable, dict[str, Any]] = {}
    for row in board.rows:
        result = row.records[0]["result"]
        option = next((name for name in OPTIONS if name in result["config"]), "")
        rank = result["config"].get(option, {}).get("value")
        if not isinstance(rank, int):
            continue
        rest = {key: each for key, each in result["config"].items() if key != option}
        alike = {**result, "config": rest}
        label = f"{result['strategy']['name']} {options_text(alike)}".rstrip()
        found = series.setdefault(row_key(alike), {"label": label, "bound": row.bound, "points": []})
        found["points"].append({"rank": rank, **_point(row)})
    rows = [each for each in series.values() if len({point["rank"] for point in each["points"]}) > 1]
    for each in rows:
        each["points"].sort(key=lambda point: point["rank"])
    rows.sort(key=lambda each: str(each["label"]))
    return {"title": board.title, "subtitle": board.subtitle, "rows": rows}


def _point(row: Row) -> dict[str, Any]:
    """Mean, low and high of each metric over the seeds of a row."""
    found: dict[str, Any] = {"seeds": len(row.records)}
    for name, (metric, _) in PANELS.items():
        values = row.values(metric)
        found[name] = percents([float(values.mean()), *interval(values)])
    return found


def draw(data: dict[str, Any], theme: style.Theme) -> Figure:
    """A panel for each metric that is defined somewhere; the last has the labels."""
    rows = data["rows"]
    figure = style.new_figure(8.4, style.height_for(len(rows)))
    looks = style.looks([row["bound"] for row in rows], theme)
    shown = [name for name in PANELS if any(point[name][0] is not None for row in rows for point in row["points"])]
    first: Axes | None = None
    for number, name in enumerate(shown):
        axes = figure.add_axes((number * 0.55, 0, 0.43, 1))
        first = first or axes
        ends = _panel(axes, rows, looks, name)
        axes.set(xlabel="rank", ylabel=PANELS[name][1])
        if number == len(shown) - 1:
            style.end_labels(axes, ends, theme, sum(look.rest for look in looks))
    if first is None:
        first = figure.add_axes((0, 0, 1, 1))
    style.heading(first, data["title"], data["subtitle"], theme)
    return figure


def _panel(
    axes: Axes, rows: Sequence[dict[str, Any]], looks: Sequence[style.Look], name: str
) -> list[tuple[float, float, str, style.Look]]:
    """Draw one metric against the rank; returns the end of every line with its label and look."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    ends = []
    for row, look in zip(rows, looks, strict=True):
        points = [point for point in row["points"] if point[name][0] is not None]
        if not points:
            continue
        ranks = [point["rank"] for point in points]
        mean, low, high = (np.array([point[name][i] for point in points], dtype=np.float64) for i in range(3))
        if look.rest:
            style.draw_rest(axes, ranks, mean, look)
            continue
        style.draw_interval(axes, ranks, low, high, look, len(rows))
        axes.plot(ranks, mean, color=look.colour, ls=look.line, marker=look.marker, ms=4.5)
        ends.append((float(ranks[-1]), float(mean[-1]), f"{row['label']}  {mean[-1]:.1f}", look))
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(sorted({point["rank"] for row in rows for point in row["points"]})))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.margins(x=0.04)
    return ends
