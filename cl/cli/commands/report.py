"""`clbench report`: one HTML file with the leaderboard, every run and comparisons."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cl.cli.reading import read_indexed, say_unanswered
from cl.cli.shared import metric_options
from cl.errors import counted

_EPILOG = """\b
Examples:
  clbench report results                          writes report.html
  clbench report results ../theirs --out all.html --title "Ours and theirs"
  clbench report results --metric A_inc_sample --rule til_masked"""


@click.command("report", epilog=_EPILOG, short_help="one HTML file: leaderboard, runs, comparison of any two")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER...]")
@click.option(
    "--results", "more", multiple=True, type=click.Path(path_type=Path), metavar="FOLDER",
    help="The same as FOLDER, as `clbench compare` has it; repeatable.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), default="report.html", show_default=True, metavar="FILE",
    help="The file to write.",
)  # fmt: skip
@click.option("--title", default="clbench report", show_default=True, help="Heading of the page.")
@metric_options
def command(
    folders: tuple[Path, ...], more: tuple[Path, ...], out: Path, title: str, metric: str, rule: str | None
) -> int:
    """Write a report of the runs below the folders (default: the results folder).

    The file is self-contained and opens in any browser without a network. Data of more than a thousand or so runs are
    compressed in it. It has a leaderboard to sort and filter,
    every run with its accuracies, options, cost and environment, and a comparison of any two runs. It can be printed.
    Predictions themselves are not included; the answers by class are, where a run has them.
    """

    from cl.results.report import write_report_of

    runs, left_out = read_indexed([*folders, *more])
    size = write_report_of(
        runs, out, metric=metric, rule=rule, title=title, left_out=left_out, jobs=os.cpu_count() or 1
    )
    say_unanswered(runs, rule)
    click.echo(f"{counted(len(runs), 'run')}, {size / 1e6:.2f} MB", err=True)
    click.echo(out)
    return 0
