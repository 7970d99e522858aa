"""`clbench export`: runs as one long table for other tools."""

from __future__ import annotations

from pathlib import Path

import click

from cl.cli.reading import read_results

_EPILOG = """\b
Examples:
  clbench export results --out metrics.csv
  clbench export results other/results --table accuracy --out accuracy.parquet
  clbench export results --table classes | head

\b
Tables: metrics (run, rule, metric), accuracy (run, rule, evaluation, group), classes (run, rule, task, class),
costs (run, quantity). Every row begins with stream, strategy, options, backbone, seeds and run id. Accuracies and
metrics are fractions. Parquet needs pyarrow: pip install 'clbench[parquet]'."""

TABLES = ("metrics", "accuracy", "classes", "costs")


@click.command("export", epilog=_EPILOG, short_help="runs as one long table: CSV or Parquet")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER...]")
@click.option("--table", type=click.Choice(TABLES), default="metrics", show_default=True, help="The kind of rows.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="File that ends in .csv or .parquet.  [default: CSV to stdout]",
)
def command(folders: tuple[Path, ...], table: str, out: Path | None) -> int:
    """Write every run below the folders (default: the results folder) as one long table, including unfinished runs."""
    from cl.errors import UsageError, counted
    from cl.results.export import long_table, to_csv, write_table

    results = read_results(folders)
    if not len(results):
        raise UsageError("There are no records here; make one with clbench run, or name another folder.")
    frame = long_table(results, table)
    if out is None:
        click.echo(to_csv(frame), nl=False)
    else:
        write_table(frame, out)
        click.echo(f"Wrote {counted(len(frame), 'row')} of {counted(len(results), 'run')} to {out}.", err=True)
    return 0
