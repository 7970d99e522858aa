"""`clbench leaderboard`: rank the runs in results folders."""

from __future__ import annotations

import math
import shutil
import sys
from pathlib import Path

import click

_SHOWN = ("rank", "strategy", "preset", "n_seeds", "mean", "ci_low", "ci_high", "train_seconds", "tflops", "note")

_EPILOG = """\b
Examples:
  clbench leaderboard results
  clbench leaderboard results ../other/results --metric F_chaudhry --rule cil_seen
  clbench leaderboard results --csv leaderboard.csv"""


def _complete_metric(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from cl.results.metrics import METRICS

    return [name for name in METRICS if name.startswith(incomplete)]


@click.command("leaderboard", epilog=_EPILOG, short_help="rank the runs in results folders")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER...]")
@click.option("--metric", default="A_last_sample", shell_complete=_complete_metric, show_default=True,
              help="The metric that ranks; see `clbench list metrics`.")
@click.option("--rule", help="Prediction rule.  [default: the strictest that a run has]")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Also write all columns to a CSV file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    folders: tuple[Path, ...], metric: str, rule: str | None, csv_file: Path | None, as_json: bool
) -> int:  # fmt: skip
    """Rank strategies, one board per stream and backbone; seeds are averaged, with 95 % intervals.

    Reads every record below the folders (default: where results go). Only complete runs on all images enter.
    """
    import os

    from cl.results.leaderboard import leaderboard, to_csv
    from cl.results.store import load_results

    chosen = list(folders) or [Path(os.environ.get("CLBENCH_RESULTS") or "results")]
    board = leaderboard(load_results(chosen).records, metric=metric, rule=rule)
    if csv_file is not None:
        to_csv(board, csv_file)
    if as_json:
        click.echo(board.to_json(orient="records", indent=1))
        return 0
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for (stream, backbone, _), rows in board.groupby(["stream", "backbone", "board"], sort=False):
        first = rows.iloc[0]
        click.echo(f"{stream} with {backbone}: {first['metric']} in percent, rule {first['rule']}")
        shown = rows.loc[:, list(_SHOWN)].copy()
        for column in ("mean", "ci_low", "ci_high"):
            shown[column] = shown[column].map(_percent)
        for column, digits in (("train_seconds", 1), ("tflops", 2)):
            shown[column] = shown[column].map(lambda value, digits=digits: _number(value, digits))
        shown["preset"] = shown["preset"].fillna("-")
        shown["rank"] = shown["rank"].map(lambda value: _number(value, 0))
        click.echo(shown.to_string(index=False, line_width=width, na_rep="-") + "\n")
    return 0


def _percent(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{100 * value:.2f}"


def _number(value: float | None, digits: int) -> str:
    import pandas as pd

    return "-" if value is None or pd.isna(value) else f"{value:.{digits}f}"
