"""Forward transfer of every learner against the independent one: per task, and by domain and decade.

The transfer to a task is the independent learner's error minus the learner's, each right after the task was learned;
see `cl.results.transfer`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cl.errors import UsageError
from cl.results.facts import MULTI
from cl.results.plots import page, style
from cl.results.plots.curves import percents
from cl.results.plots.rows import Board, Row
from cl.results.transfer import AGAINST, Paired, counterpart, paired

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GROUPS = ("all", "domain", "decade", "labels")
_NAMES = {"all": "all tasks", "single": "one label", "multi": "several labels", "": "not known"}
_TALL, _GAP = 0.72, 0.16
"""Inches: a learner's panel, and between panels."""
_SMALL = 6.5
"""Points of the names of tasks."""


def data(board: Board) -> dict[str, Any]:
    """Per row points of transfer to each task and by group of tasks; errors in percent, and TFLOP so far.

    low, high: the 95 % interval of the mean over seeds, None with one seed. The independent learner is no row; rows
    that cannot be compared with one are named in `without`.
    """
    references = [row for row in board.rows if row.records[0]["result"]["strategy"]["name"] == AGAINST]
    tasks: list[dict[str, Any]] = []
    rows, without = [], []
    for row in board.rows:
        if row in references or not references:
            continue
        pair = _pair(row, references, board.rule)
        if pair is None:
            without.append(row.label)
            continue
        told = [{key: getattr(task, key) for key in ("name", "year", "domain", "labels")} for task in pair.tasks]
        tasks = tasks or told
        each = [pair.over([place]) for place in range(len(pair.tasks))]
        so_far = np.cumsum([one["tflops"] for one in each])
        rows.append({
            "label": row.label, "bound": row.bound, "seeds": len(pair.keys),
            **{key: percents([one[key] for one in each]) for key in ("error", "error_against")},
            **{key: _points([one[key] for one in each]) for key in ("transfer", "low", "high")},
            "tflop": [float(f"{value:.6g}") for value in so_far],
            "groups": {by: _grouped(pair, by) for by in _GROUPS},
        })  # fmt: skip
    against = [row.label for row in references]
    return {"title": board.title, "subtitle": board.subtitle, "against": against, "tasks": tasks, "rows": rows,
            "without": without}  # fmt: skip


def _pair(row: Row, references: Sequence[Row], rule: str) -> Paired | None:
    """A row with its reference; None if there is none with its options, seeds and tasks."""
    try:
        place = counterpart(row.records[0]["result"], [each.records[0]["result"] for each in references])
        return None if place is None else paired(row.records, references[place].records, rule=rule)
    except UsageError:
        return None


def _points(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else percents([value])[0] for value in values]


def _grouped(pair: Paired, by: str) -> list[dict[str, Any]]:
    """Transfer of each group of tasks; decades by time, other groups by their number of tasks."""
    groups = pair.groups(by)
    order = sorted(groups, key=lambda name: (name == "", name if by == "decade" else -len(groups[name])))
    found = []
    for name in order:
        over = pair.over(groups[name])
        values = {key: _points([over[key]])[0] for key in ("transfer", "low", "high")}
        for key in ("relative_error", "relative_compute"):
            values[key] = None if over[key] is None else round(over[key], 4)
        found.append({"name": name, "tasks": over["tasks"], **values})
    return found


def draw(data: dict[str, Any], theme: style.Theme) -> Figure:
    """The figure of what `data` returned: a panel per learner over all tasks, and below them the groups of tasks."""
    rows, tasks = data["rows"], data["tasks"]
    looks = style.looks([row["bound"] for row in rows], theme)
    left, right = _panels(rows)
    width = max(7.4, 0.145 * len(tasks))
    pitch = max(0.2, 0.085 * len(rows) + 0.07)
    low = pitch * max(len(left), len(right))
    below = 0.3 + max(len(_dated(task)) for task in tasks) * 0.57 * _SMALL / 72
    height = low + below + len(rows) * (_TALL + _GAP)
    figure = style.new_figure(width, height)
    first: Axes | None = None
    for number, (row, look) in enumerate(zip(rows, looks, strict=True)):
        bottom = height - (number + 1) * (_TALL + _GAP) + _GAP
        axes = figure.add_axes((0, bottom / height, 1, _TALL / height), sharey=first)
        first = first or axes
        _tasks(axes, row, tasks, look, theme, named=number == len(rows) - 1)
    assert first is not None
    first.set_ylim(*_limits(rows))
    middle = 1 - len(rows) * (_TALL + _GAP) / 2 / height
    figure.text(-0.48 / width, middle, "transfer, points", rotation=90, va="center", ha="right")
    side = min((width - 1.5) / 2, 4.6)
    shared: Axes | None = None
    for start, groups in ((0.0, left), (side + 1.5, right)):
        if not groups:
            continue
        tall = pitch * len(groups)
        axes = figure.add_axes((start / width, (low - tall) / height, side / width, tall / height), sharex=shared)
        shared = shared or axes
        _of_groups(axes, groups, rows, looks, theme)
    words = f"error of {AGAINST} minus error, each when learned: more is better"
    if any(task["labels"] == MULTI for task in tasks):
        words += "; hollow: several labels, 1 - mAP"
    if not any(task["year"] for task in tasks):
        words += "; years are not known"
    style.heading(first, data["title"], f"{data['subtitle']}; {words}", theme)
    if data["without"]:
        text = f"no run of {AGAINST} with the same options, seeds and tasks: " + ", ".join(data["without"])
        figure.text(0, -0.6 / height, text, fontsize=page.scaled(8.5), color=theme.bound, va="top")
    return figure


def _tasks(
    axes: Axes, row: dict[str, Any], tasks: Sequence[dict[str, Any]], look: style.Look, theme: style.Theme, *,
    named: bool,
) -> None:  # fmt: skip
    """A learner's transfer to every task."""
    from matplotlib.ticker import MaxNLocator

    places = np.arange(len(tasks))
    axes.vlines(places, 0, row["transfer"], color=look.colour, lw=1.6)
    for place, task in enumerate(tasks):
        if row["low"][place] is not None:
            axes.plot([place] * 2, [row["low"][place], row["high"][place]], color=theme.ink, lw=0.7, alpha=0.7)
        several = task["labels"] == MULTI
        axes.plot(place, row["transfer"][place], color=look.colour, marker=look.marker, ms=3.6, ls="",
                  mfc=theme.paper or "none" if several else look.colour)  # fmt: skip
    axes.axhline(0, color=theme.ink, lw=0.8)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.spines["bottom"].set_visible(False)
    decades = [None if task["year"] is None else task["year"] // 10 for task in tasks]
    for place in range(1, len(tasks)):
        if decades[place] != decades[place - 1]:
            axes.axvline(place - 0.5, color=theme.bound, lw=0.7, ls=(0, (2, 2)))
    axes.set_xlim(-0.7, len(tasks) - 0.3)
    axes.grid(visible=False, axis="x")
    axes.tick_params(axis="x", length=0)
    axes.tick_params(axis="y", labelsize=page.scaled(8))
    axes.set_xticks(
        places, [_dated(task) for task in tasks] if named else [], rotation=90, fontsize=page.scaled(_SMALL)
    )
    whole = row["groups"]["all"][0]
    text = f"{row['label']}\nmean {whole['transfer']:+.1f}{_range(whole)}"
    axes.annotate(text, (1, 0.5), xytext=(6, 0), xycoords="axes fraction", textcoords="offset points",
                  va="center", fontsize=page.scaled(9), annotation_clip=False)  # fmt: skip


def _limits(rows: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """The range of all panels: every value and interval, and 0, with room for markers."""
    values = [value for row in rows for key in ("transfer", "low", "high") for value in row[key] if value is not None]
    low, high = min(*values, 0.0), max(*values, 0.0)
    room = 0.1 * (high - low) or 1.0
    return low - room, high + room


def _dated(task: dict[str, Any]) -> str:
    if task["year"] is None:
        return str(task["name"])
    return f"{task['name'].removesuffix('-' + str(task['year']))}  {task['year']}"


def _range(values: dict[str, Any]) -> str:
    return "" if values["low"] is None else f" [{values['low']:.1f}, {values['high']:.1f}]"


def _panels(rows: Sequence[dict[str, Any]]) -> tuple[list[tuple[str, str, int]], list[tuple[str, str, int]]]:
    """The groups (kind, name, tasks) of the two panels: all tasks and domains; decades and labels.

    Kinds with one group alone say no more than all tasks, and are left out.
    """
    known: dict[str, list[tuple[str, str, int]]] = {by: [] for by in _GROUPS}
    for by in _GROUPS:
        found = [(by, each["name"], each["tasks"]) for each in rows[0]["groups"][by]]
        known[by] = found if len(found) > 1 or by == "all" else []
    return known["all"] + known["domain"], known["decade"] + known["labels"]


def _of_groups(
    axes: Axes, groups: Sequence[tuple[str, str, int]], rows: Sequence[dict[str, Any]], looks: Sequence[style.Look],
    theme: style.Theme,
) -> None:  # fmt: skip
    """Mean transfer of every learner in each group of tasks, as dots."""
    offsets = (np.arange(len(rows)) - (len(rows) - 1) / 2) * (0.72 / max(len(rows), 1))
    for row, look, offset in zip(rows, looks, offsets, strict=True):
        values = {(by, each["name"]): each for by in _GROUPS for each in row["groups"][by]}
        for place, (by, name, _) in enumerate(groups):
            each = values[by, name]
            if each["low"] is not None:
                axes.plot([each["low"], each["high"]], [place + offset] * 2, color=look.colour, lw=1.0, alpha=0.8)
            axes.plot(each["transfer"], place + offset, color=look.colour, marker=look.marker, ms=4.2, ls="")
    axes.axvline(0, color=theme.ink, lw=0.8)
    for place in range(1, len(groups), 2):
        axes.axhspan(place - 0.5, place + 0.5, color=theme.faint, alpha=0.3, lw=0, zorder=0)
    kinds = Counter(by for by, _, _ in groups)
    edge = 0
    for by in list(kinds)[:-1]:
        edge += kinds[by]
        axes.axhline(edge - 0.5, color=theme.bound, lw=0.7, ls=(0, (2, 2)))
    axes.set_yticks(
        range(len(groups)),
        [f"{_NAMES.get(name, name)} ({tasks})" for _, name, tasks in groups],
        fontsize=page.scaled(9),
    )
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("mean transfer over tasks, points", fontsize=page.scaled(9))
