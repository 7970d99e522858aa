"""Last accuracy against cost: compute, trained parameters and storage between tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cl.results.pareto import front_of
from cl.results.plots import page, style
from cl.results.plots.curves import interval, percents
from cl.results.plots.rows import Board

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COSTS: dict[str, tuple[str, float, str, tuple[str, ...]]] = {
    "compute": ("compute, TFLOP (nothing memoised)", 1e12, "flops", ("uncached",)),
    "parameters": ("parameters trained, millions", 1e6, "parameters", ("trainable",)),
    "stored": ("stored between tasks, MB", 1e6, "stored", ("samples", "statistics", "parameters")),
}
"""Costs of a row: axis label, unit, and the entries of `measurement` that are summed."""


def data(board: Board) -> dict[str, Any]:
    """Accuracy in percent and three costs per row; for each cost the labels on the Pareto front, without bounds."""
    rows = []
    for row in board.rows:
        mean = row.mean(board.last)
        low, high = interval(row.values(board.last))
        found: dict[str, Any] = {"label": row.label, "bound": row.bound, "seeds": len(row.records)}
        found |= dict(zip(("accuracy", "low", "high"), percents([mean, low, high]), strict=True))
        for name, (_, unit, section, keys) in COSTS.items():
            cost = row.measured(section, *keys)
            found[name] = None if cost is None else float(f"{cost / unit:.6g}")  # equal sums of floats stay equal
        rows.append(found)
    fronts = {}
    for name in COSTS:
        rivals = [r for r in rows if not r["bound"] and r[name] is not None and r["accuracy"] is not None]
        fronts[name] = [rivals[index]["label"] for index in front_of([(r[name], r["accuracy"]) for r in rivals])]
    return {"title": board.title, "subtitle": board.subtitle, "rows": rows, "front": fronts}


def draw(data: dict[str, Any], theme: style.Theme) -> Figure:
    """Three panels that share the accuracy axis and one column of labels."""
    rows = [row for row in data["rows"] if row["accuracy"] is not None]
    figure = style.new_figure(10.4, style.height_for(len(rows)))
    looks = style.looks([row["bound"] for row in rows], theme)
    first: Axes | None = None
    ends: dict[str, tuple[float, float, str, style.Look]] = {}
    for number, (name, (words, *_)) in enumerate(COSTS.items()):
        axes = figure.add_axes((number * 0.345, 0, 0.31, 1), sharey=first)
        first = first or axes
        _panel(axes, rows, looks, name, data["front"][name], theme)
        axes.set_xlabel(page.wrapped(words, 10, 0.31))
        axes.tick_params(labelleft=number == 0)
        for row, look in zip(rows, looks, strict=True):
            if row[name] is not None and not look.rest:
                text = f"{row['label']}  {row['accuracy']:.1f}"
                ends[row["label"]] = (row[name], row["accuracy"], text, look)
    assert first is not None
    first.set_ylabel("last accuracy, %")
    style.end_labels(axes, list(ends.values()), theme, sum(look.rest for look in looks), points=True)
    style.heading(first, data["title"], f"{data['subtitle']}; the step line joins what nothing beats", theme)
    return figure


def _panel(
    axes: Axes, rows: Sequence[dict[str, Any]], looks: Sequence[style.Look], name: str, front: Sequence[str],
    theme: style.Theme,
) -> None:  # fmt: skip
    shown = [(row, look) for row, look in zip(rows, looks, strict=True) if row[name] is not None]
    costs = [row[name] for row, _ in shown]
    if costs and max(costs) > 20 * max(min(costs), 1e-12):
        least = min((cost for cost in costs if cost > 0), default=1.0)
        style.log_x(axes, least, max(costs), linear_below=least if min(costs) <= 0 else None)
    best = sorted((row[name], row["accuracy"]) for row, _ in shown if row["label"] in front and not row["bound"])
    if best:
        axes.step(*zip(*best, strict=True), where="post", color=theme.ink, lw=1.0, alpha=0.7, zorder=1)
    for row, look in shown:
        if look.rest:
            style.draw_rest(axes, row[name], row["accuracy"], look)
            continue
        if row["low"] is not None:
            axes.plot([row[name]] * 2, [row["low"], row["high"]], color=look.colour, lw=1.2, alpha=0.7)
        axes.plot(row[name], row["accuracy"], color=look.colour, marker=look.marker, ms=7, ls="",
                  mfc="none" if row["bound"] else look.colour)  # fmt: skip
    axes.margins(x=0.08)
