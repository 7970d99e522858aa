"""Correct answers per class in a record: one list per evaluation, or runs of classes where few classes were measured.

With every task tested on its own classes only, a table of all evaluations and all classes grows with the square of the
number of tasks although almost all of it is empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

DENSE, RUNS = "class_correct", "class_correct_runs"
"""Keys of the tables of a rule: `DENSE[row][class position]`, or `RUNS[row][first class position]` in its place."""

LEAST, SHARE = 10_000, 0.25
"""Entries of the smallest table that is written as runs, and the largest share of them that may be measured. A table of
classes that stay once they are learned is half full at the end of a run."""

Counts = Sequence[int | None]


def written(rows: Sequence[Counts]) -> dict[str, Any]:
    """The table of all rows as the tables of a rule hold it; None in `rows` is an entry that was not measured."""
    entries = sum(map(len, rows))
    measured = entries - sum(list(row).count(None) for row in rows)
    if entries < LEAST or measured > SHARE * entries:
        return {DENSE: [list(row) for row in rows]}
    return {RUNS: [_runs(row) for row in rows]}


def has_classes(tables: Mapping[str, Any]) -> bool:
    """Whether the tables of a rule have the counts per class, which records of early versions lack."""
    return DENSE in tables or RUNS in tables


def class_values(result: Mapping[str, Any], rule: str, rows: Sequence[int]) -> NDArray[np.float64]:
    """Correct answers at some rows of a result, float64 [rows, classes]; NaN for classes that were not measured.

    Raises `KeyError` for a rule without counts per class, see `has_classes`.
    """
    tables = result["accuracy"][rule]
    if RUNS not in tables:
        found = [tables[DENSE][row] for row in rows]
        return np.array(found, dtype=np.float64).reshape(len(rows), len(found[0]) if found else 0)
    values = np.full((len(rows), result["stream"]["n_classes"]), np.nan)
    for place, row in enumerate(rows):
        for first, counts in tables[RUNS][row].items():
            values[place, int(first) : int(first) + len(counts)] = counts
    return values


def fault_of_runs(row: Mapping[str, Sequence[int]], counts: Sequence[int]) -> str:
    """What is wrong with a row of runs on a split with these images per class; empty if nothing.

    Runs are written in one way only: each is as long as possible, and none is empty.
    """
    spans = []
    for first, correct in row.items():
        if not (first.isascii() and first.isdecimal() and str(int(first[:9])) == first):
            return f"{first[:20]!r} is not the position of a class"
        start = int(first)
        if not correct or start + len(correct) > len(counts):
            return f"the run at {first} has {len(correct)} entries, and there are {len(counts)} classes"
        for position, value in enumerate(correct, start):
            if value > counts[position]:
                return f"{value} right answers among {counts[position]} images of class {position}"
        spans.append((start, start + len(correct)))
    if any(end >= start for (_, end), (start, _) in pairwise(sorted(spans))):
        return "two runs touch; they are one"
    return ""


def _runs(row: Counts) -> dict[str, list[int]]:
    """The measured entries of a row by the position of the first: one list for neighbours."""
    found: dict[str, list[int]] = {}
    first = None
    for position, value in enumerate(row):
        if value is None:
            first = None
            continue
        first = str(position) if first is None else first
        found.setdefault(first, []).append(value)
    return found
