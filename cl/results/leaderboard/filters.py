"""Which runs a table or a figure shows: patterns on columns, and the best rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from cl.errors import UsageError, did_you_mean
from cl.results.leaderboard.entries import Run

FILTERS = ("strategy", "stream", "backbone", "preset", "options", "config_hash", "setting", "precision")
"""Columns that a filter accepts."""

T = TypeVar("T")


def patterns_of(texts: Iterable[str]) -> dict[str, list[str]]:
    """Patterns by column of texts such as `strategy=slca,ewc`; raises `UsageError` for another form."""
    found: dict[str, list[str]] = {}
    for text in texts:
        column, equals, patterns = text.partition("=")
        if not equals:
            raise UsageError(f"--filter needs COLUMN=PATTERN, such as strategy=slca, not '{text}'.")
        found.setdefault(column.strip(), []).extend(pattern.strip() for pattern in patterns.split(","))
    return found


def checked(filters: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
    """The filters; raises `UsageError` for a column that is not one of `FILTERS`."""
    if "settings" in filters and "options" not in filters:  # its name in 0.1.0
        filters = {"options" if name == "settings" else name: wanted for name, wanted in filters.items()}
    for name in filters:
        if name not in FILTERS:
            hint = did_you_mean(name, list(FILTERS)) or f" Choose one of: {', '.join(FILTERS)}."
            raise UsageError(f"Rows cannot be filtered by '{name}'.{hint}")
    return filters


def passes(run: Run, filters: Mapping[str, Sequence[str]]) -> bool:
    """Whether each filtered column of a run matches one of its patterns (`*`, `?`)."""
    return all(
        any(fnmatchcase(value, pattern) for value in run.summary.shown[name] for pattern in patterns)
        for name, patterns in filters.items()
    )


def best(
    rows: Sequence[T], number: int | None, is_ranked: Callable[[T], bool], is_bound: Callable[[T], bool]
) -> list[T]:
    """The first `number` ranked rows of a board and its bounds, in order; without ranked rows, the first rows.

    None keeps all rows.
    """
    if number is None:
        return list(rows)
    if not any(map(is_ranked, rows)):
        return list(rows[:number])
    kept: list[T] = []
    left = number
    for row in rows:
        if is_ranked(row):
            kept += [row] if left > 0 else []
            left -= 1
        elif is_bound(row):
            kept.append(row)
    return kept
