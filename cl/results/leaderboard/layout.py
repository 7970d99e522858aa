"""What a table of the leaderboard shows: which columns, which spread, how wide; and the cells of a row."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from cl.errors import UsageError, did_you_mean, printable
from cl.records.metrics import METRICS, scale_of, shown
from cl.results.leaderboard.ranking import COLUMNS, UNTUNED, Row
from cl.results.tables import in_unit

SPREADS = ("std", "ci", "none")
"""Standard deviation over seeds, 95 % interval of the ranking metric, or means alone."""

EVERY = "all"
"""As columns: the usual ones, all of them, even if they do not fit."""

Cells = dict[str, str]


@dataclass(frozen=True)
class Layout:
    """columns: names of `COLUMNS`, () for the usual ones; spread: of `SPREADS`, None for the usual one of the format;
    width: characters, None for any; left_out: rows that are not shown, by number of the board."""

    columns: tuple[str, ...] = ()
    spread: str | None = None
    width: int | None = None
    left_out: Mapping[int, int] = field(default_factory=dict)


USUAL = Layout()


def columns_of(text: str) -> tuple[str, ...]:
    """The columns in a comma list; raises `UsageError` for an unknown one."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in COLUMNS and names != (EVERY,):
            known = [*COLUMNS, EVERY]
            hint = did_you_mean(name, known) or f" Choose from: {', '.join(known)}."
            raise UsageError(f"There is no column '{name}'.{hint}")
    if not names:
        raise UsageError(f"--columns is empty; choose from: {', '.join(COLUMNS)}.")
    return names


class Notes:
    """Footnotes of one table, each text once."""

    def __init__(self) -> None:
        self.found: dict[str, int] = {}

    def number(self, text: str) -> str:
        text = printable(text)
        return str(self.found.setdefault(text, len(self.found) + 1)) if text else ""

    def items(self) -> Iterator[tuple[int, str]]:
        return ((number, text) for text, number in self.found.items())


def boards_of(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows of each board."""
    return [list(board) for _, board in groupby(rows, key=lambda row: row["board"])]


def title_of(row: Row) -> str:
    """What the board of a row compares."""
    stream = f"{row['stream']} {row['stream_options']}".rstrip()
    unit = METRICS[row["metric"]].unit
    by = f"{row['metric']}, in {unit}" if unit else row["metric"]
    return printable(f"{stream}{kind_of(row)} on {row['backbone']}, rule {row['rule']}, ranked by {by}")


def kind_of(row: Row) -> str:
    """What follows the name of a stream: its setting unless it is class-incremental, and that runs continue others."""
    words = ["" if row["setting"] == "class-incremental" else row["setting"], row.get("continued", "")]
    return "".join(f", {each}" for each in words if each) + "," * any(words)


COSTS = ("train_seconds", "tflops", "peak_mb")
"""Columns of costs."""

_NAMED = 3


def measured_with(board: Iterable[Row], *, counted: bool = False) -> str:
    """What the costs of a board were measured with; "" if it is not known.

    A warning if that is more than one thing, unless the costs are `counted` FLOPs alone.
    """
    found = sorted({text for row in board for text in row.get("measured_with", ())})
    if len(found) < 2:
        return "".join(f"Costs measured with {text}." for text in found)
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    named = "; ".join(found[:_NAMED])
    warning = ": compare no seconds and memory across these (clbench costs names them by row)"
    return f"Costs measured with {named}{more}{'' if counted else warning}."


def metrics_shown(row: Row) -> tuple[str, ...]:
    """The secondary metrics of a row's board; the ranking metric is shown once, even if it is one of them."""
    return tuple(name for name in shown(row["setting"]) if name != row["metric"])


def usual_columns(row: Row) -> tuple[str, ...]:
    """The columns of the board of a row in a table for the terminal."""
    first = ("rank", "strategy", "options", "preset", "config_hash", "precision", "n_seeds", "mean")
    last = ("reported", "delta", "train_seconds", "tflops", "peak_mb", "note")
    return (*first, *metrics_shown(row), *last)


WORDS = {"strategy", "options", "preset", "config_hash", "precision", "access", "marks", "rule", "metric", "stream",
         "stream_options", "backbone", "reported_in", "reported_unlike", "setting", "drawn",
         "measured_with"}  # fmt: skip
"""Columns of words, which are left-aligned."""

_HEADS = {
    "config_hash": "config",
    "n_seeds": "seeds",
    "train_seconds": "train s",
    "tflops": "TFLOPs",
    "peak_mb": "peak MB",
}
_SILENT = ("options", "preset", "reported", "delta", "note")
"""Usual columns that are left out where they say nothing."""


def head_of(column: str, row: Row) -> str:
    """The head of a column on the board of a row."""
    return str(row["metric"]) if column == "mean" else _HEADS.get(column, column)


def table_of(board: Sequence[Row], notes: Notes, layout: Layout) -> list[Cells]:
    """The cells of a board by column; usual columns that say nothing on it are left out."""
    asked = layout.columns if layout.columns != (EVERY,) else ()
    columns = asked or usual_columns(board[0])
    spread = layout.spread or "ci"
    cells = [{name: cell_of(row, name, notes, spread) for name in columns} for row in board]
    silent = set() if asked else {name for name in _SILENT if not any(cell[name] for cell in cells)}
    if not asked and len({row["precision"] for row in board}) == 1:
        silent.add("precision")
    return [{name: text for name, text in cell.items() if name not in silent} for cell in cells]


def cell_of(row: Row, column: str, notes: Notes, spread: str) -> str:
    """The text of a column; fractions in percent."""
    if column in _CELLS:
        return _CELLS[column](row)
    if column == "reported":
        return _reported(row, notes)
    if column == "note":
        return " ".join(filter(None, map(notes.number, remarks(row))))
    if column == "mean":
        return in_unit(row["metric"], row["mean"]) + spread_of(row, column, spread)
    value = row.get(column)
    if column in METRICS:
        return in_unit(column, value) + (spread_of(row, column, spread) if spread == "std" else "")
    if column in ("std", "ci_low", "ci_high"):
        return in_unit(row["metric"], value)
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def spread_of(row: Row, column: str, spread: str, sign: str = "+-") -> str:
    """The spread of the ranking metric ("mean") or of a secondary one: ` +- 0.31`, ` [56.1, 57.2]`, or nothing."""
    if spread == "std":
        found = row["std"] if column == "mean" else row.get("stds", {}).get(column)
        return "" if found is None else f" {sign} {in_unit(row['metric'] if column == 'mean' else column, found)}"
    known = spread == "ci" and column == "mean" and row["ci_low"] is not None
    ends = (in_unit(row["metric"], row[end]) for end in ("ci_low", "ci_high"))
    return f" [{', '.join(ends)}]" if known else ""


def remarks(row: Row) -> list[str]:
    """Every remark that limits the comparison of a row, as sentences."""
    stale = "stale: the code of the strategy has changed since" if row.get("stale") else ""
    return [each for each in (*row["note"].split("; "), _DRAWN.get(row["drawn"], ""), stale) if each]


def is_untuned(row: Row) -> bool:
    """Whether neither a preset nor a search chose the options of a row."""
    return any(remark.startswith(UNTUNED) for remark in row["note"].split("; "))


_DRAWN = {
    "seeds": "its interval covers seeds only: no answers to resample",
    "images": "its interval covers images only: one seed",
}
_OTHER = "published with other weights or another protocol; CSV and JSON say which (reported_unlike)"


def _rank(row: Row) -> str:
    return (row["marks"] or "-").replace(" ", "+") if row["rank"] is None else str(row["rank"])


def _preset(row: Row) -> str:
    return UNTUNED if is_untuned(row) else str(row["preset"] or "")


def _delta(row: Row) -> str:
    return "" if row.get("delta") is None else f"{scale_of(row['metric']) * row['delta']:+.2f}"


def _number(column: str, form: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        value = row[column]
        return "-" if value is None or math.isnan(value) else format(value, form)

    return cell


_CELLS: dict[str, Callable[[Row], str]] = {
    "rank": _rank,
    "preset": _preset,
    "delta": _delta,
    "train_seconds": _number("train_seconds", ".1f"),
    "tflops": _number("tflops", ".4g"),
    "peak_mb": _number("peak_mb", ".0f"),
    "measured_with": lambda row: "; ".join(row["measured_with"]),
}


def _reported(row: Row, notes: Notes) -> str:
    """The published value with its source; only a mark if it must not be compared."""
    if row.get("reported") is None:
        return ""
    if row["reported_unlike"]:
        return f"other [{notes.number(_OTHER)}]"
    return f"{in_unit(row['metric'], row['reported'])} [{notes.number('reported in ' + row['reported_in'])}]"
