"""Groups runs into boards and rows for figures, with their labels; no matplotlib."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cl.errors import UsageError
from cl.protocol import answering, default_rule
from cl.records.matrix import AccuracyMatrix, matrix_of
from cl.records.metrics import METRICS, metrics_of_rule
from cl.records.record import Record
from cl.results.leaderboard.continued import EARLIER, continued, continues
from cl.results.leaderboard.entries import Run, board_key, complete, distinct, entries_of
from cl.results.leaderboard.filters import best, checked, passes

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """The runs of one configuration of one strategy, one per seed; `bound`: shown but not ranked."""

    label: str
    records: tuple[Record, ...]
    rule: str
    bound: bool

    @property
    def may_read_the_past(self) -> bool:
        """Whether it is a bound such as `joint`, not a run that is unranked for another reason."""
        return bool(self.records[0]["result"]["strategy"]["access"] == "past")

    @cached_property
    def matrices(self) -> tuple[AccuracyMatrix, ...]:
        own = answering(self.records[0]["result"]["accuracy"], self.rule)
        return tuple(matrix_of(record["result"], own) for record in self.records)

    def curves(self, formula: Callable[[AccuracyMatrix], Floats]) -> Floats:
        """Values of a formula with one value per step, [seeds, steps]."""
        return np.array([formula(matrix) for matrix in self.matrices], dtype=np.float64)

    def values(self, metric: str) -> Floats:
        """Values of a metric that needs no predictions, one per run: fractions, NaN if undefined."""
        if not METRICS[metric].needs:
            return np.array([METRICS[metric].compute(matrix) for matrix in self.matrices], dtype=np.float64)
        own = answering(self.records[0]["result"]["accuracy"], self.rule)
        found = [metrics_of_rule(record["result"], own, [metric]).get(metric) for record in self.records]
        return np.array([np.nan if value is None else value for value in found], dtype=np.float64)

    def mean(self, metric: str) -> float:
        """Mean of a metric over seeds; NaN if undefined for a run."""
        return float(self.values(metric).mean())

    def measured(self, section: str, *keys: str) -> float | None:
        """Mean over seeds of the sum of some entries of `measurement`; None if one is unknown."""
        table = [[record["measurement"][section].get(key) for key in keys] for record in self.records]
        if any(value is None for values in table for value in values):
            return None
        return float(np.mean([sum(values) for values in table]))


@dataclass(frozen=True)
class Board:
    """Rows of one figure: one stream definition, one backbone, one prediction rule; the best row first."""

    stream: str
    backbone: str
    rule: str
    limited: bool
    rows: tuple[Row, ...]
    left_out: int = 0
    """Rows that were not asked for, such as those after the best ten."""

    @property
    def title(self) -> str:
        return f"{self.stream}, {self.backbone}"

    @property
    def subtitle(self) -> str:
        seeds = sorted({len(row.records) for row in self.rows})
        number = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
        words = f"rule {self.rule}, {number} seed{'' if seeds == [1] else 's'}"
        words += f", the best {len(self.rows)} of {len(self.rows) + self.left_out} rows" if self.left_out else ""
        if told := continues(record["result"] for row in self.rows for record in row.records):
            words += f", {told}: {EARLIER}"
        return words + (", LIMITED runs" if self.limited else "")

    @property
    def result(self) -> Mapping[str, Any]:
        return self.rows[0].records[0]["result"]

    @property
    def by_task(self) -> bool:
        """Whether images of some tasks may have several classes, so that only means over tasks cover all."""
        return any(matrix.mean_precision is not None for row in self.rows for matrix in row.matrices)

    @property
    def last(self) -> str:
        """The metric of the last accuracy that covers all groups."""
        return "A_last_task" if self.by_task else "A_last_sample"


def _figure_key(result: Mapping[str, Any]) -> tuple[Any, ...]:
    """The key that runs of one figure share: the board, and the numbers of steps and test images."""
    steps = [row["task"] for row in result["rows"]]
    return (*board_key(result), result["limited"], str(steps), sum(result["count"]))


def stream_label(result: Mapping[str, Any]) -> str:
    """The stream's name, those of its options that differ from the defaults, without the class order's seed, and
    whether the run continues another."""
    words = [str(result["stream"]["name"])]
    for key, entry in result["config"].items():
        name = key.removeprefix("stream.")
        if name != key and name != "order_seed" and entry["origin"] != "default" and entry["value"] is not None:
            words.append(f"{name}={entry['value']}")
    return " ".join([*words, continued(result)]).rstrip()


def boards(
    records: Iterable[Record],
    rule: str | None = None,
    *,
    filters: Mapping[str, Sequence[str]] | None = None,
    top: int | None = None,
) -> list[Board]:
    """Complete runs sorted into boards and rows; limited runs have their own boards.

    `rule` None makes a board of the strictest rule of every run. Runs of different rules never share a board, except
    that a run without `til_oracle` is shown there under `til_masked`. `filters` keep runs as those of the leaderboard
    do, `top` keeps the best rows of each board and its bounds. Raises `UsageError` if no run is complete or passes, and
    for a rule that no run has.
    """
    wanted = checked(filters or {})
    runs = [run for run in distinct(complete([Run(record) for record in records]))[0] if passes(run, wanted)]
    if not runs:
        raise UsageError("No complete run passes the filter; `clbench plot` without it draws all runs.")
    found: dict[tuple[Any, ...], list[Run]] = defaultdict(list)
    asked: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for run in runs:
        asked[_figure_key(run.result)].add(rule or default_rule(run.result["accuracy"]))
    for run in runs:
        for name in asked[key := _figure_key(run.result)]:
            if run.rule_for(name) in run.result["accuracy"]:
                found[(*key, name)].append(run)
    if not found:
        known = sorted({name for run in runs for name in run.result["accuracy"]})
        raise UsageError(f"No run here has the prediction rule {rule!r}; they have: {', '.join(known)}.")
    return [_best(_board(found[key], key[-1]), top) for key in sorted(found, key=str)]


def _best(board: Board, top: int | None) -> Board:
    kept = best(board.rows, top, lambda row: not row.bound, lambda row: row.may_read_the_past)
    return replace(board, rows=tuple(kept), left_out=len(board.rows) - len(kept))


def _board(runs: Sequence[Run], rule: str) -> Board:
    entries = entries_of(runs, rule, "A_last_sample")
    labels = Counter(entry.label for entry in entries)
    rows = []
    for entry in entries:
        label = entry.label if labels[entry.label] == 1 else f"{entry.label} [{entry.config_hash}]"
        rows.append(Row(label, tuple(run.record for run in entry.runs), rule, bool(entry.marks)))
    result = rows[0].records[0]["result"]
    names = (stream_label(result), result["backbone"]["name"], rule, bool(result["limited"]))
    last = Board(*names, tuple(rows)).last
    return Board(*names, tuple(sorted(rows, key=lambda row: (-np.nan_to_num(row.mean(last), nan=-1.0), row.label))))


def slug(text: str) -> str:
    """A text in a form that is valid in a file name."""
    return re.sub(r"[^A-Za-z0-9._=-]+", "-", text).strip("-.") or "x"
