"""The leaderboard as text, CSV, Markdown, LaTeX and JSON: pure functions of its rows."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from cl.errors import printable
from cl.records.metrics import METRICS, scale_of, shown
from cl.results.leaderboard.ranking import COLUMNS, Row
from cl.results.tables import aligned, csv_cell, in_unit, percent

Cells = dict[str, str]


def to_csv(rows: Sequence[Row]) -> str:
    """The rows as CSV: all columns at full precision; unknown values are empty. Text is escaped by `csv_cell`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(COLUMNS), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: csv_cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def to_json(rows: Sequence[Row]) -> str:
    """The rows as a JSON list of objects: all columns, and further keys of a row."""
    plain = [{**dict.fromkeys(COLUMNS), **row} for row in rows]
    return json.dumps(plain, indent=1, allow_nan=False) + "\n"


def to_text(rows: Sequence[Row]) -> str:
    """The rows as text: one table per board, in percent, with footnotes. Nothing is truncated."""
    texts = []
    for board in _boards(rows):
        notes = _Notes()
        lines = [_title(board[0]), *_aligned(_table(board, notes)), *(f"[{n}] {note}" for n, note in notes.items())]
        texts.append("\n".join(lines) + "\n")
    return "\n".join(texts)


def to_markdown(rows: Sequence[Row]) -> str:
    """The rows as Markdown: one heading and table per board, in percent, with notes as a numbered list."""
    texts = []
    for board in _boards(rows):
        notes = _Notes()
        cells = [{name: text.replace("|", r"\|") for name, text in cell.items()} for cell in _table(board, notes)]
        lines = [f"## {_title(board[0])}", "", *_aligned(cells, ":")]
        if notes.found:
            lines += ["", *(f"{n}. {note}" for n, note in notes.items())]
        texts.append("\n".join(lines) + "\n")
    return "\n".join(texts)


def _aligned(cells: Sequence[Cells], colon: str = "") -> list[str]:
    return aligned(list(cells[0]), [list(cell.values()) for cell in cells], left=_WORDS, colon=colon)


def to_latex(rows: Sequence[Row]) -> str:
    r"""One `table` per board for `\usepackage{booktabs}`, percent, notes below; unranked rows are below a rule."""
    texts = [r"% \usepackage{booktabs}" + "\n"]
    for board in _boards(rows):
        notes = _Notes()
        cells = _table(board, notes)
        columns = "".join("l" if name in _WORDS else "r" for name in cells[0])
        lines = [
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{_escape(_title(board[0]))}. Percent, 95\,\% intervals.}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(map(_escape, cells[0])) + r" \\",
            r"\midrule",
        ]
        for index, cell in enumerate(cells):
            if index and board[index]["rank"] is None and board[index - 1]["rank"] is not None:
                lines.append(r"\midrule")
            lines.append(" & ".join(map(_escape, cell.values())) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}"]
        lines += [rf"\par\footnotesize [{n}] {_escape(note)}" for n, note in notes.items()]
        texts.append("\n".join([*lines, r"\end{table}"]) + "\n")
    return "\n".join(texts)


_WORDS = ("strategy", "options", "preset", "config", "precision")
"""Columns of words, which are left-aligned."""

_OTHER = "published with other weights or another protocol; CSV and JSON say which (reported_unlike)"

_DRAWN = {
    "seeds": "its interval covers seeds only: no answers to resample",
    "images": "its interval covers images only: one seed",
}

_LATEX = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def _escape(text: str) -> str:
    escaped = "".join(_LATEX.get(letter, letter) for letter in printable(text))
    return f"{{{escaped}}}" if escaped.startswith("[") else escaped  # a bracket after \\ would be read as an option


class _Notes:
    """Footnotes of one table, each text once."""

    def __init__(self) -> None:
        self.found: dict[str, int] = {}

    def number(self, text: str) -> str:
        text = printable(text)
        return str(self.found.setdefault(text, len(self.found) + 1)) if text else ""

    def items(self) -> Iterator[tuple[int, str]]:
        return ((number, text) for text, number in self.found.items())


def _boards(rows: Sequence[Row]) -> list[list[Row]]:
    return [list(board) for _, board in groupby(rows, key=lambda row: row["board"])]


def _title(row: Row) -> str:
    setting = "" if row["setting"] == "class-incremental" else f", {row['setting']},"
    stream = f"{row['stream']} {row['stream_options']}".rstrip()
    unit = METRICS[row["metric"]].unit
    by = f"{row['metric']}, in {unit}" if unit else row["metric"]
    return printable(f"{stream}{setting} on {row['backbone']}, rule {row['rule']}, ranked by {by}")


def _table(board: Sequence[Row], notes: _Notes) -> list[Cells]:
    """The cells of one board; columns without content are left out."""
    cells = [_cells(row, notes) for row in board]
    silent = {name for name in ("options", "preset", "reported", "delta", "note") if not any(c[name] for c in cells)}
    silent |= {"precision"} if len({row["precision"] for row in board}) == 1 else set()
    return [{name: text for name, text in cell.items() if name not in silent} for cell in cells]


def _cells(row: Row, notes: _Notes) -> Cells:
    """The cells of one row; fractions in percent."""
    # The ranking metric is shown once, even if it is also a secondary one.
    others = {name: percent(row[name]) for name in shown(row["setting"]) if name != row["metric"]}
    delta = row.get("delta")
    return {
        "rank": (row["marks"] or "-").replace(" ", "+") if row["rank"] is None else str(row["rank"]),
        "strategy": str(row["strategy"]),
        "options": str(row["options"]),
        "preset": str(row["preset"] or ""),
        "config": str(row["config_hash"]),
        "precision": str(row["precision"]),
        "seeds": str(row["n_seeds"]),
        str(row["metric"]): in_unit(row["metric"], row["mean"]) + _interval(row),
        **others,
        "reported": _reported(row, notes),
        "delta": "" if delta is None else f"{scale_of(row['metric']) * delta:+.2f}",
        "train s": _number(row["train_seconds"], ".1f"),
        "TFLOPs": _number(row["tflops"], ".4g"),
        "peak MB": _number(row["peak_mb"], ".0f"),
        "note": " ".join(filter(None, map(notes.number, _remarks(row)))),
    }


def _reported(row: Row, notes: _Notes) -> str:
    """The published value with its source; only a mark if it must not be compared."""
    if row.get("reported") is None:
        return ""
    if row["reported_unlike"]:
        return f"other [{notes.number(_OTHER)}]"
    return f"{in_unit(row['metric'], row['reported'])} [{notes.number('reported in ' + row['reported_in'])}]"


def _remarks(row: Row) -> list[str]:
    stale = "stale: the code of the strategy has changed since" if row.get("stale") else ""
    return [*row["note"].split("; "), _DRAWN.get(row["drawn"], ""), stale]


def _interval(row: Row) -> str:
    ends = (in_unit(row["metric"], row[name]) for name in ("ci_low", "ci_high"))
    return "" if row["ci_low"] is None else f" [{', '.join(ends)}]"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None or math.isnan(value) else format(value, form)
