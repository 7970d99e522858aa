"""Shared by commands that read results: records that cannot be read are named on stderr, counted, and left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cl import paths
from cl.cli.shared import set_up

if TYPE_CHECKING:
    from cl.results.leaderboard.entries import Run
    from cl.results.store import LeftOut, Results


def read_results(folders: Sequence[Path]) -> Results:
    """Every record below the folders, by default below the results folder.

    Raises `UsageError` for a folder that does not exist, `DataError` if there are records and none can be read.
    """
    from cl.results.store import load_results

    set_up(quiet=False, verbose=0)  # so that warnings of damaged predictions are shown
    results = load_results(list(folders) or [paths.results()], on_bad="skip")
    _tell(results.left_out, len(results))
    return results


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """As `read_results`, each record with the folder of its predictions."""
    from cl.results.leaderboard.entries import Run

    results = read_results(folders)
    return [Run(record, file.parent) for record, file in zip(results.records, results.files, strict=True)]


def read_indexed(folders: Sequence[Path]) -> tuple[list[Run], int]:
    """As `read_runs`, through the index in the cache: a record is read when a board needs it. Also how many are left
    out."""
    from cl.results.index import indexed_runs

    set_up(quiet=False, verbose=0)
    runs, left_out = indexed_runs(list(folders) or [paths.results()])
    _tell(left_out, len(runs))
    return runs, len(left_out)


def say_unanswered(runs: Sequence[Run], rule: str | None, wanted: Mapping[str, Sequence[str]] | None = None) -> None:
    """Count, on stderr, the runs on boards of which no run has the rule; `wanted` are filters of runs."""
    from cl.errors import counted
    from cl.results.leaderboard.ranking import unanswered

    if without := unanswered(runs, rule, wanted):
        what = f"{counted(len(without), 'run')} on boards without the rule {rule}"
        click.echo(f"{what} left out; without --rule each run is under its strictest rule.", err=True)


def _tell(left_out: Sequence[LeftOut], read: int) -> None:
    """Name the records that are left out; raises `DataError` if no other is there."""
    from cl.errors import DataError, counted, printable
    from cl.results.store import told

    number = len(left_out)
    for text in told(left_out):
        click.echo(printable(f"Left out: {text}"), err=True)
    if number and not read:
        raise DataError(f"None of {counted(number, 'record')} here can be read; the lines above name the fixes.")
    if number:
        click.echo(f"{number} of {number + read} records left out.", err=True)
