"""Error against cumulative training compute, as in NEVIS'22 (Bornschein et al. 2022): one line per row, one end each.

The error of a task is 1 - accuracy right after it was learned; the line holds its mean over the tasks so far, and the
FLOPs of every training event so far, hyper-parameter trials included, as if nothing had been memoised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cl.results.matrix import steps_of
from cl.results.plots import style
from cl.results.plots.cost import pareto_front
from cl.results.plots.curves import percents
from cl.results.plots.rows import Board, Floats, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def training_flops(record: Mapping[str, Any]) -> dict[int, float] | None:
    """Uncached FLOPs of all training up to and including each task, by task; None where an event has none."""
    events = record["measurement"]["events"]
    total = before = 0.0
    found: dict[int, float] = {}
    for event in events:
        if event.get("uncached") is None:
            return None
        word, _, task = str(event["what"]).partition(" ")
        if word == "train":
            total += event["uncached"] - before
            found[int(task)] = total
        before = event["uncached"]
    return found or None


def _errors(row: Row) -> Floats | None:
    """Mean error so far after each step, [seeds, steps]; None where steps and groups are not one to one."""
    found = []
    for matrix in row.matrices:
        groups, own = matrix.own()
        if sorted(matrix.learned[groups]) != list(range(matrix.steps)):
            return None
        errors = np.empty(matrix.steps)
        errors[matrix.learned[groups]] = 1 - own
        found.append(np.cumsum(errors) / np.arange(1, matrix.steps + 1))
    return np.array(found)


def data(board: Board) -> dict[str, Any]:
    """Per row the mean over seeds of TFLOP and error (percent) after each task, and the labels on the Pareto front.

    Rows without FLOPs per task, or whose tasks have no error of their own, are named in `without`.
    """
    rows: list[dict[str, Any]] = []
    without = []
    for row in board.rows:
        errors = _errors(row)
        spent = [training_flops(record) for record in row.records]
        steps = [steps_of(record["result"]) for record in row.records]
        told = [
            [flops[task] for task in tasks if task in flops] if flops else []
            for flops, tasks in zip(spent, steps, strict=True)
        ]
        if errors is None or np.isnan(errors).any() or any(len(values) != errors.shape[1] for values in told):
            without.append(row.label)
            continue
        flops = np.mean(told, axis=0) / 1e12
        rows.append(
            {
                "label": row.label,
                "bound": row.bound,
                "seeds": len(row.records),
                "tflop": [float(f"{value:.6g}") for value in flops],
                "error": percents(errors.mean(axis=0)),
            }
        )
    rivals = [row for row in rows if not row["bound"]]
    front = pareto_front([(row["tflop"][-1], -row["error"][-1]) for row in rivals])
    names = [rivals[index]["label"] for index in front]
    return {"title": board.title, "subtitle": board.subtitle, "rows": rows, "front": names, "without": without}


def draw(data: dict[str, Any], theme: style.Theme) -> Figure:
    """The figure of what `data` returned."""
    rows = data["rows"]
    figure = style.new_figure(6.4, style.height_for(len(rows)))
    axes = figure.add_axes((0, 0, 1, 1))
    ends = []
    for row, look in zip(rows, style.looks([row["bound"] for row in rows], theme), strict=True):
        axes.plot(row["tflop"], row["error"], color=look.colour, ls=look.line, lw=1.2, alpha=0.75)
        x, y = row["tflop"][-1], row["error"][-1]
        axes.plot(x, y, color=look.colour, marker=look.marker, ms=7, ls="")
        ends.append((x, y, f"{row['label']}  {y:.1f}", look.colour))
    best = sorted((row["tflop"][-1], row["error"][-1]) for row in rows if row["label"] in data["front"])
    if best:
        axes.step(*zip(*best, strict=True), where="post", color=theme.ink, lw=1.0, alpha=0.7)
    if rows and min(row["tflop"][0] for row in rows) > 0:
        style.log_x(axes)
    axes.set(xlabel="training compute so far, TFLOP", ylabel="error when learned, mean over tasks so far, %")
    style.end_labels(axes, ends)
    if data["without"]:
        axes.annotate("no FLOPs or errors per task: " + ", ".join(data["without"]), (0, 0), xytext=(0, -46),
                      xycoords="axes fraction", textcoords="offset points", fontsize=8.5, color=theme.bound,
                      annotation_clip=False)  # fmt: skip
    style.heading(axes, data["title"], f"{data['subtitle']}; the step line joins what nothing beats", theme)
    return figure
