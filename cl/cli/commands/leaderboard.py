"""`clbench leaderboard`: rank the runs in results folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cl.cli.reading import read_indexed
from cl.cli.shared import metric_options
from cl.cli.text import room

if TYPE_CHECKING:
    from cl.results.leaderboard.entries import Run
    from cl.results.leaderboard.ranking import Row

FORMATS = ("table", "markdown", "latex", "csv", "json")

_EPILOG = """\b
Examples:
  clbench leaderboard results
  clbench leaderboard results ../other/results --metric F_chaudhry --rule all
  clbench leaderboard --filter strategy=slca,ewc --filter stream=split-cifar100 --sort tflops
  clbench leaderboard results --csv leaderboard.csv
  clbench leaderboard results --format latex > table.tex

\b
Ranks: a row shares the rank above if the 95 % interval of the paired difference contains 0. The interval
resamples seeds and test images, from the stored predictions. Unranked rows give the reason: bound, limited, legacy,
batch-dependent, saw-later-images, other-version. stale: the code of the strategy has changed since."""


@click.command("leaderboard", epilog=_EPILOG, short_help="rank the runs in results folders")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER...]")
@metric_options
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="COLUMN=PATTERN",
    help="Rank only rows whose column matches one of the patterns (*, ?, comma lists); columns: strategy, stream, "
    "backbone, preset, options, config_hash, setting, precision.",
)
@click.option("--sort", metavar="COLUMN", help="Sort rows by a column; -COLUMN: descending.  [default: rank]")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="Output format.")
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write all columns to a CSV file, a pure function of the records.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; short for --format json.")
@click.option("-q", "--quiet", is_flag=True, help="Print results and errors only.")
def command(
    folders: tuple[Path, ...], metric: str, rule: str | None, filters: tuple[str, ...], sort: str | None, form: str,
    csv_file: Path | None, as_json: bool, quiet: bool,
) -> int:  # fmt: skip
    """Rank strategies, one board per stream, rule and backbone; seeds are averaged, with 95 % intervals.

    Reads every record below the folders (default: the results folder); a run that is in several counts once. A
    record that cannot be read is named on stderr and left out, also with --quiet.
    """
    from cl.files import write_text
    from cl.results.leaderboard import board_tables
    from cl.results.leaderboard.ranking import board_rows, is_stale, sorted_rows

    runs, _ = read_indexed(folders)
    rows = board_rows(runs, metric=metric, rule=rule, filters=_patterns(filters))
    rows = rows if sort is None else sorted_rows(rows, sort)
    if not quiet:
        _report(runs, rows)
    if csv_file is not None:
        write_text(csv_file, board_tables.to_csv(rows))
    form = "json" if as_json else form
    if form == "table":
        rows = [{**row, "stale": is_stale(row)} for row in rows]
        click.echo(board_tables.to_text(rows, room()).rstrip("\n"))
        return 0
    if form != "csv":
        rows = [{**row, "stale": is_stale(row)} for row in rows]
    write = {
        "markdown": board_tables.to_markdown,
        "latex": board_tables.to_latex,
        "csv": board_tables.to_csv,
        "json": board_tables.to_json,
    }[form]
    click.echo(write(rows).rstrip("\n"))
    return 0


def _patterns(texts: Sequence[str]) -> dict[str, list[str]]:
    from cl.errors import UsageError

    found: dict[str, list[str]] = {}
    for text in texts:
        column, equals, patterns = text.partition("=")
        if not equals:
            raise UsageError(f"--filter needs COLUMN=PATTERN, such as strategy=slca, not '{text}'.")
        found.setdefault(column.strip(), []).extend(pattern.strip() for pattern in patterns.split(","))
    return found


def _report(runs: Sequence[Run], rows: Sequence[Row]) -> None:
    """Print remarks on the runs, on stderr."""
    from cl.errors import printable
    from cl.results.leaderboard.entries import distinct

    unfinished = sum(run.record["status"] != "complete" for run in runs)
    copies = distinct(runs)[1]
    if unfinished:
        what = "1 unfinished run" if unfinished == 1 else f"{unfinished} unfinished runs"
        click.echo(f"{what} left out; `clbench resume` continues unfinished runs.", err=True)
    if copies:
        where = ", ".join(str(run.folder) for run in copies[:3]) + (", ..." if len(copies) > 3 else "")
        click.echo(printable(f"{len(copies)} copies of runs counted once: {where}."), err=True)
    without = sum(run.record["status"] == "complete" and not run.has_predictions for run in runs)
    if without:
        what = "1 run has" if without == 1 else f"{without} runs have"
        click.echo(f"{what} no predictions.npz; only seeds are resampled there.", err=True)
