"""Runs as the rows of a figure: what is drawn together, what is averaged, and what it is called; no matplotlib."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cl.errors import UsageError
from cl.protocol import answering, default_rule
from cl.records.matrix import AccuracyMatrix, matrix_of
from cl.records.metrics import METRICS
from cl.records.record import Record
from cl.results.leaderboard.entries import Run, board_key, complete, distinct, entries_of

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """The runs of one configuration of one strategy, one per seed; `bound`: shown, but not in competition."""

    label: str
    records: tuple[Record, ...]
    rule: str
    bound: bool

    @cached_property
    def matrices(self) -> tuple[AccuracyMatrix, ...]:
        own = answering(self.records[0]["result"]["accuracy"], self.rule)
        return tuple(matrix_of(record["result"], own) for record in self.records)

    def curves(self, formula: Callable[[AccuracyMatrix], Floats]) -> Floats:
        """A formula of the matrix that gives one value per step, [seeds, steps]."""
        return np.array([formula(matrix) for matrix in self.matrices], dtype=np.float64)

    def values(self, metric: str) -> Floats:
        """A metric that needs nothing but the matrix, of every run from its counts: fractions, NaN where undefined."""
        return np.array([METRICS[metric].compute(matrix) for matrix in self.matrices], dtype=np.float64)

    def mean(self, metric: str) -> float:
        """Mean of a metric over seeds; NaN where a run leaves it undefined."""
        return float(self.values(metric).mean())

    def measured(self, section: str, *keys: str) -> float | None:
        """Mean over seeds of the sum of some entries of `measurement`; None where one is unknown."""
        table = [[record["measurement"][section].get(key) for key in keys] for record in self.records]
        if any(value is None for values in table for value in values):
            return None
        return float(np.mean([sum(values) for values in table]))


@dataclass(frozen=True)
class Board:
    """Rows that may be drawn together: one stream definition, one backbone, one prediction rule; the best row first."""

    stream: str
    backbone: str
    rule: str
    limited: bool
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        return f"{self.stream}, {self.backbone}"

    @property
    def subtitle(self) -> str:
        seeds = sorted({len(row.records) for row in self.rows})
        number = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
        words = f"rule {self.rule}, {number} seed{'' if seeds == [1] else 's'}"
        return words + (", LIMITED runs" if self.limited else "")

    @property
    def result(self) -> Mapping[str, Any]:
        return self.rows[0].records[0]["result"]


def _figure_key(result: Mapping[str, Any]) -> tuple[Any, ...]:
    """What must agree before two runs stand in one figure: a board, and as many steps and images to test on."""
    steps = [row["task"] for row in result["rows"]]
    return (*board_key(result), result["limited"], str(steps), sum(result["count"]))


def stream_label(result: Mapping[str, Any]) -> str:
    """The stream's name, and the settings of it that differ from its defaults; not the seed of a class order."""
    words = [str(result["stream"]["name"])]
    for key, entry in result["config"].items():
        name = key.removeprefix("stream.")
        if name != key and name != "order_seed" and entry["origin"] != "default" and entry["value"] is not None:
            words.append(f"{name}={entry['value']}")
    return " ".join(words)


def boards(records: Iterable[Record], rule: str | None = None) -> list[Board]:
    """Complete runs sorted into boards and rows; limited runs stand on boards of their own.

    `rule` None makes a board of the strictest rule of every run; runs of different rules never share one, but who is
    not told the task answers `til_oracle` by `til_masked`. Raises `UsageError` where no run is complete, and for a
    rule that none has.
    """
    runs = distinct(complete([Run(record) for record in records]))[0]
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
    return [_board(found[key], key[-1]) for key in sorted(found, key=str)]


def _board(runs: Sequence[Run], rule: str) -> Board:
    entries = entries_of(runs, rule, "A_last_sample")
    labels = Counter(entry.label for entry in entries)
    rows = []
    for entry in entries:
        label = entry.label if labels[entry.label] == 1 else f"{entry.label} [{entry.config_hash}]"
        rows.append(Row(label, tuple(run.record for run in entry.runs), rule, bool(entry.marks)))
    rows.sort(key=lambda row: (-np.nan_to_num(row.mean("A_last_sample"), nan=-1.0), row.label))
    result = rows[0].records[0]["result"]
    return Board(stream_label(result), result["backbone"]["name"], rule, bool(result["limited"]), tuple(rows))


def slug(text: str) -> str:
    """A text as part of a file name."""
    return re.sub(r"[^A-Za-z0-9._=-]+", "-", text).strip("-.") or "x"
