"""Accuracy on each task when the task is told: right after it was learned, and after the last task; a panel per row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cl.protocol import split_rule
from cl.results.leaderboard.short_labels import short_labels
from cl.results.plots import page, style
from cl.results.plots.curves import interval, percents
from cl.results.plots.rows import Board, Floats, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOLD = ("til_oracle", "til_masked")
"""Rules under which the task is told."""

_ACROSS = 4
"""Panels side by side on a page of any width; a narrow page has fewer."""
_WIDE, _HIGH, _GAP = 1.8, 1.1, 0.3
"""Inches of a panel and of the gap above it."""


def data(board: Board) -> dict[str, Any]:
    """Percent per row and group, in the order of learning: `learned`, right after its task, and `last` with `low` and
    `high`, the interval over seeds; None where it was not measured. No rows under a rule that does not tell the task.
    """
    matrix = board.rows[0].matrices[0]
    order = [int(group) for group in np.argsort(matrix.learned, kind="stable")]
    names = [board.result["stream"]["groups"][group]["name"] for group in order]
    told = split_rule(board.rule)[0] in TOLD
    rows = [_row(row, order) for row in board.rows] if told else []
    return {"title": board.title, "subtitle": board.subtitle, "groups": names, "rows": rows}


def _row(row: Row, order: list[int]) -> dict[str, Any]:
    learned = np.array([_when_learned(matrix.accuracy, matrix.learned) for matrix in row.matrices])[:, order]
    last = np.array([matrix.accuracy[-1] for matrix in row.matrices])[:, order]
    bands = [interval(group) for group in last.T]
    return {
        "label": row.label,
        "bound": row.bound,
        "seeds": len(row.records),
        "learned": percents(learned.mean(axis=0)),
        "last": percents(last.mean(axis=0)),
        "low": percents([low for low, _ in bands]),
        "high": percents([high for _, high in bands]),
    }


def _when_learned(accuracy: Floats, learned: Any) -> Floats:
    """The accuracy on each group after the step that learned it; NaN for a group that no step completes."""
    steps, groups = accuracy.shape
    known = (learned >= 0) & (learned < steps)
    return np.where(known, accuracy[np.where(known, learned, 0), np.arange(groups)], np.nan)


def draw(data: dict[str, Any], theme: style.Theme) -> Figure:
    """The figure of what `data` returned: the first `style.MOST` rows, the best; the subtitle counts the others."""
    rows = data["rows"][: style.MOST]
    if page.current().width is None:  # otherwise they are short already
        short = short_labels((row["label"] for row in rows), named=False)
        rows = [{**row, "label": short[row["label"]]} for row in rows]
    across = min(page.panels_across(_WIDE, _ACROSS), len(rows))
    lines = [rows[start : start + across] for start in range(0, len(rows), across)]
    above = [_above(line) for line in lines]
    wide, high = page.scaled(_WIDE), page.scaled(_HIGH)
    height = len(lines) * high + sum(above[1:])
    figure = style.new_figure(across * wide, height)
    looks = style.looks([row["bound"] for row in rows], theme)
    first: Axes | None = None
    for number, (row, look) in enumerate(zip(rows, looks, strict=True)):
        line, place = divmod(number, across)
        bottom = height - (line + 1) * high - sum(above[1 : line + 1])
        axes = figure.add_axes(
            (place / across, bottom / height, 0.88 / across, high / height), sharex=first, sharey=first
        )
        first = first or axes
        _panel(axes, row, look, theme, len(data["groups"]))
        axes.tick_params(labelleft=place == 0, labelbottom=number + across >= len(rows))
        if place == 0:
            axes.set_ylabel("accuracy, %", fontsize=page.scaled(9))
        if number + across >= len(rows):
            axes.set_xlabel("task, told", fontsize=page.scaled(9))
    assert first is not None
    left = len(data["rows"]) - len(rows)
    words = f"{data['subtitle']}; hollow: when learned, filled: after the last task"
    words += f"; the best {len(rows)} of {len(rows) + left} rows" if left else ""
    style.heading(first, data["title"], words, theme, above=72 * (above[0] - _GAP))
    return figure


def _above(rows: list[dict[str, Any]]) -> float:
    """Inches above a line of panels: the names of its rows, and the numbers of the axis above them."""
    return page.scaled(9) * 1.3 / 72 * max(len(_title(row).split("\n")) for row in rows) + _GAP


def _title(row: dict[str, Any]) -> str:
    known = [value for value in row["last"] if value is not None]
    mean = f"  {np.mean(known):.1f}" if known else ""
    return page.in_lines(f"{row['label']}{mean}", 9, 0.9 * page.scaled(_WIDE))


def _panel(axes: Axes, row: dict[str, Any], look: style.Look, theme: style.Theme, groups: int) -> None:
    from matplotlib.ticker import MaxNLocator

    places = np.arange(1, groups + 1)
    learned, last, low, high = (np.array(row[key], dtype=np.float64) for key in ("learned", "last", "low", "high"))
    axes.vlines(places, learned, last, color=theme.bound, lw=0.8, alpha=0.7)
    axes.plot(
        places, learned, color=theme.ink, marker="o", ms=page.scaled(3.6), ls="", mfc=theme.paper or "none", mew=0.8
    )
    axes.vlines(places, low, high, color=look.colour, lw=2.2, alpha=0.35)
    axes.plot(places, last, color=look.colour, ls=look.line, lw=1.2, marker=look.marker, ms=page.scaled(4))
    axes.set_title(_title(row), fontsize=page.scaled(9), pad=3)
    axes.xaxis.set_major_locator(MaxNLocator(min(groups, 6), integer=True, min_n_ticks=1))
    axes.margins(0.06, 0.1)
    axes.grid(visible=False, axis="x")
