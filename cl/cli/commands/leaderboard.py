"""`clbench leaderboard`: rank the runs in results folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cl.cli.reading import read_indexed, say_unanswered
from cl.cli.shared import filter_option, metric_options, top_option
from cl.cli.text import room

if TYPE_CHECKING:
    from cl.results.leaderboard.entries import Run
    from cl.results.leaderboard.ranking import Row

SPREADS = ("std", "ci", "none")
FORMATS = ("table", "markdown", "latex", "csv", "json")
SUFFIXES = {".tex": "latex", ".md": "markdown", ".csv": "csv", ".json": "json"}
"""The format of a file of --out by its suffix; any other is a table."""

_EPILOG = """\b
Examples:
  clbench leaderboard results
  clbench leaderboard results ../other/results --metric F_chaudhry --rule all
  clbench leaderboard --filter strategy=slca,ewc --filter stream=split-cifar100 --sort tflops
  clbench leaderboard results --csv leaderboard.csv
  clbench leaderboard results --columns rank,strategy,mean,tflops --top 10
  clbench leaderboard results --out table.tex --bibtex methods.bib

\b
Ranks: a row shares the rank above if the 95 % interval of the paired difference contains 0. The interval
resamples seeds and test images, from the stored predictions. Unranked rows give the reason: bound, limited, legacy,
batch-dependent, saw-later-images, other-version. stale: the code of the strategy has changed since. untuned: no preset
is meant for the stream and backbone."""


@click.command("leaderboard", epilog=_EPILOG, short_help="rank the runs in results folders")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER...]")
@metric_options
@filter_option("Rank only rows")
@top_option
@click.option(
    "--columns",
    metavar="COLUMN[,COLUMN]",
    help="Columns, by their names in the CSV file (mean: the metric that ranks), or all.  [default: what fits]",
)
@click.option(
    "--spread",
    type=click.Choice(SPREADS),
    help="Beside means: standard deviation over seeds, 95 % interval, or nothing.  [default: std in LaTeX and "
    "Markdown, else ci]",
)
@click.option("--sort", metavar="COLUMN", help="Sort rows by a column; -COLUMN: descending.  [default: rank]")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="Output format.  [default: by the suffix of --out (.tex, .md, .csv, .json), else table]",
)
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write all columns to a CSV file, a pure function of the records.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the table to a file.  [default: print it]",
)
@click.option(
    "--bibtex",
    "bibtex_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write the BibTeX entries of the methods in the table, which LaTeX cites by these keys.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; short for --format json.")
@click.option("-q", "--quiet", is_flag=True, help="Print results and errors only.")
def command(
    folders: tuple[Path, ...], metric: str, rule: str | None, filters: tuple[str, ...], top: int | None,
    columns: str | None, spread: str | None, sort: str | None, form: str | None, csv_file: Path | None,
    out: Path | None, bibtex_file: Path | None, as_json: bool, quiet: bool,
) -> int:  # fmt: skip
    """Rank strategies, one board per stream, rule and backbone; seeds are averaged, with 95 % intervals.

    A table for a terminal leaves out columns that do not fit, and names them. LaTeX and Markdown are as in a paper:
    names of methods in print, the best and what ties with it in bold, citations.

    Reads every record below the folders (default: the results folder); a run that is in several counts once. A
    record that cannot be read is named on stderr and left out, also with --quiet.
    """
    from cl.files import write_text
    from cl.results.leaderboard import board_tables, paper_tables
    from cl.results.leaderboard.filters import patterns_of
    from cl.results.leaderboard.layout import Layout, boards_of, columns_of
    from cl.results.leaderboard.ranking import board_rows, is_stale, sorted_rows

    chosen = () if columns is None else columns_of(columns)
    runs, _ = read_indexed(folders)
    wanted = patterns_of(filters)
    rows = board_rows(runs, metric=metric, rule=rule, filters=wanted)
    rows = rows if sort is None else sorted_rows(rows, sort)
    if not quiet:
        _report(runs)
        say_unanswered(runs, rule, wanted)
    if csv_file is not None:
        write_text(csv_file, board_tables.to_csv(rows))
    suffix = "" if out is None else out.suffix.lower()
    form = "json" if as_json else form or SUFFIXES.get(suffix, "table")
    every = boards_of(rows)
    rows = [row for board in every for row in _best(board, top)]
    kept = Counter(row["board"] for row in rows)
    left_out = {board[0]["board"]: len(board) - kept[board[0]["board"]] for board in every}
    if form != "csv":
        rows = [{**row, "stale": is_stale(row)} for row in rows]
    write = {
        "table": board_tables.to_text,
        "markdown": paper_tables.to_markdown,
        "latex": paper_tables.to_latex,
        "csv": board_tables.to_csv,
        "json": board_tables.to_json,
    }[form]
    text = write(rows, Layout(chosen, spread, room() if out is None else None, left_out))
    if bibtex_file is not None:
        entries, without = paper_tables.bibtex_of(rows)
        write_text(bibtex_file, entries)
        if without:
            click.echo(f"No BibTeX entry: {', '.join(without)}.", err=True)
    if out is None:
        click.echo(text.rstrip("\n"))
    else:
        write_text(out, text)
        click.echo(out)
    return 0


def _best(board: Sequence[Row], top: int | None) -> list[Row]:
    from cl.results.leaderboard.filters import best

    return best(board, top, lambda row: row["rank"] is not None, lambda row: row["access"] == "past")


def _report(runs: Sequence[Run]) -> None:
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
