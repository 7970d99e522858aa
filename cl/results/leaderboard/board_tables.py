"""The leaderboard as text, CSV and JSON: pure functions of its rows. `paper_tables` has Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from textwrap import wrap

from cl.errors import printable
from cl.results.fitted import fitted
from cl.results.leaderboard.layout import (
    COSTS,
    EVERY,
    USUAL,
    WORDS,
    Cells,
    Layout,
    Notes,
    boards_of,
    head_of,
    measured_with,
    metrics_shown,
    table_of,
    title_of,
)
from cl.results.leaderboard.ranking import COLUMNS, Row
from cl.results.tables import csv_cell

NARROWEST = 60
"""Characters; tables are not made narrower. Where a line has fewer, the rows become lines, see `fitted`."""


def to_csv(rows: Sequence[Row], layout: Layout = USUAL) -> str:
    """The rows as CSV: all columns at full precision; unknown values are empty. Text is escaped by `csv_cell`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _names(layout), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    joined = ({**row, "measured_with": "; ".join(row["measured_with"])} for row in rows)
    writer.writerows({name: csv_cell(value) for name, value in row.items()} for row in joined)
    return text.getvalue()


def to_json(rows: Sequence[Row], layout: Layout = USUAL) -> str:
    """The rows as a JSON list of objects: all columns, and further keys of a row; or the columns asked for."""
    names = _names(layout)
    every = [{**dict.fromkeys(COLUMNS), **row} for row in rows]
    plain = every if len(names) == len(COLUMNS) else [{name: row[name] for name in names} for row in every]
    return json.dumps(plain, indent=1, allow_nan=False) + "\n"


def _names(layout: Layout) -> list[str]:
    return list(COLUMNS if layout.columns in ((), (EVERY,)) else layout.columns)


def to_text(rows: Sequence[Row], layout: Layout = USUAL) -> str:
    """The rows as text: one table per board, in percent, with footnotes.

    Without a width nothing is left out. With one, usual columns that do not fit are left out and named below, and long
    words are in several lines; columns that were asked for stay.
    """
    texts = []
    for board in boards_of(rows):
        without: list[str] = []
        limits: dict[str, int] = {}
        asked = layout
        if layout.width is not None and layout.columns != (EVERY,):
            limits, without = _fitted(board, layout)
            asked = replace(layout, columns=tuple(limits))
        notes = Notes()
        cells = table_of(board, notes, asked)
        if limits and not _is_narrow(layout.width):  # where rows become lines, a cell must be whole
            cells = [line for cell in cells for line in _in_lines(cell, limits)]
        below = [f"[{number}] {note}" for number, note in notes.items()]
        if any(name in cells[0] for name in COSTS) and (told := measured_with(board)):
            below.append(told)
        if left := layout.left_out.get(board[0]["board"]):
            below.append(f"{left} more row{'s' * (left > 1)}; without --top all are shown.")
        if without:
            names = ", ".join(head_of(name, board[0]) for name in without)
            below.append(f"Left out to fit {layout.width} characters: {names}; --columns all shows them.")
        lines = [*_lines(title_of(board[0]), layout), *_aligned(cells, board[0], layout.width)]
        lines += [line for text in below for line in _lines(text, layout)]
        texts.append("\n".join(lines) + "\n")
    return "\n".join(texts)


def _is_narrow(width: int | None) -> bool:
    return width is not None and width < NARROWEST


def _lines(text: str, layout: Layout) -> list[str]:
    if layout.width is None:
        return [text]
    return wrap(text, layout.width, subsequent_indent="  ", break_on_hyphens=False) or [text]


def _aligned(cells: Sequence[Cells], row: Row, width: int | None) -> list[str]:
    heads = {name: head_of(name, row) for name in cells[0]}
    left = [head for name, head in heads.items() if name in WORDS]
    narrow = width if _is_narrow(width) else None
    return fitted(list(heads.values()), [list(cell.values()) for cell in cells], narrow, left=left)


def _fitted(board: Sequence[Row], layout: Layout) -> tuple[dict[str, int], list[str]]:
    """The columns that fit, each with its number of characters, and the columns that were left out.

    Columns that were asked for are never left out. Options go into several lines before a metric is left out; names and
    numbers are broken last.
    """
    width = max(layout.width or 0, NARROWEST)
    cells = table_of(board, Notes(), layout)
    texts = {name: [head_of(name, board[0]), *(printable(cell[name]) for cell in cells)] for name in cells[0]}
    limits = {name: max(map(len, column)) for name, column in texts.items()}
    parts = {
        name: max(len(part) for text in column for part in re.findall(_PART, text) or [""])
        for name, column in texts.items()
        if name in _BROKEN
    }

    def over() -> int:
        return sum(limits.values()) + 3 * len(limits) + 1 - width

    def narrower(name: str, least: int) -> None:
        if name in limits and over() > 0:
            limits[name] = max(limits[name] - over(), min(least, limits[name]))

    def leave_out(names: Iterable[str]) -> list[str]:
        left = []
        for name in [each for each in names if each in limits and not layout.columns]:
            if over() > 0:
                del limits[name]
                left.append(name)
        return left

    without = leave_out(("config_hash", "peak_mb", "train_seconds", "precision"))
    for name in ("options", "preset"):
        narrower(name, parts.get(name, 0))
    without += leave_out(("delta", "reported", *reversed(metrics_shown(board[0])), "tflops", "n_seeds"))
    for name in ("strategy", "note"):
        narrower(name, parts.get(name, 0))
    without += leave_out(("preset",))  # a note says which rows are untuned
    for name in ("mean", "rank"):
        narrower(name, parts.get(name, 0))
    for name in ("options", "strategy"):
        narrower(name, 10)
    return limits, without


_BROKEN = ("options", "preset", "strategy", "mean", "rank", "note")
"""Columns whose texts may be in several lines."""
_PART = r"[^ -]+-?"
"""What a line holds at least: a word up to a hyphen."""


def _in_lines(cell: Cells, limits: Mapping[str, int]) -> list[Cells]:
    """A row as one or more lines, whose cells have at most so many characters."""
    parts = [wrap(printable(cell[name]), limit) or [""] for name, limit in limits.items()]
    return [dict(zip(limits, line, strict=True)) for line in zip_longest(*parts, fillvalue="")]
