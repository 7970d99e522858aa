"""Shared by commands that read results: records that cannot be read are named on stderr, counted, and left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cl import paths
from cl.cli.shared import set_up

if TYPE_CHECKING:
    from cl.results.leaderboard.entries import Run
    from cl.results.store import Results


def read_results(folders: Sequence[Path]) -> Results:
    """Every record below the folders, by default below the results folder.

    Raises `UsageError` for a folder that does not exist, `DataError` if there are records and none can be read.
    """
    from cl.errors import DataError, printable
    from cl.results.store import load_results, told

    set_up(quiet=False, verbose=0)  # so that warnings of damaged predictions are shown
    results = load_results(list(folders) or [paths.results()], on_bad="skip")
    number = len(results.left_out)
    for text in told(results.left_out):
        click.echo(printable(f"Left out: {text}"), err=True)
    if number and not len(results):
        raise DataError(f"None of the {number} records here can be read; the lines above name the fixes.")
    if number:
        click.echo(f"{number} of {number + len(results)} records left out.", err=True)
    return results


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """As `read_results`, each record with the folder of its predictions."""
    from cl.results.leaderboard.entries import Run

    results = read_results(folders)
    return [Run(record, file.parent) for record, file in zip(results.records, results.files, strict=True)]
