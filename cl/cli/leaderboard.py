"""`clbench leaderboard`: rank the runs in results folders."""

from __future__ import annotations

from pathlib import Path

import click

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
@click.option(
    "--metric",
    default="A_last_sample",
    shell_complete=_complete_metric,
    show_default=True,
    help="The metric that ranks; see `clbench list metrics`.",
)
@click.option("--rule", help="Prediction rule.  [default: the strictest that a run has]")
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write all columns to a CSV file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    folders: tuple[Path, ...], metric: str, rule: str | None, csv_file: Path | None, as_json: bool
) -> int:  # fmt: skip
    """Rank strategies, one board per stream and backbone; seeds are averaged, with 95 % intervals.

    Reads every record below the folders (default: where results go). Only complete runs on all images enter.
    """
    import os

    from cl.results.leaderboard import leaderboard, to_csv, to_text
    from cl.results.store import load_results

    chosen = list(folders) or [Path(os.environ.get("CLBENCH_RESULTS") or "results")]
    board = leaderboard(load_results(chosen).records, metric=metric, rule=rule)
    if csv_file is not None:
        to_csv(board, csv_file)
    if as_json:
        click.echo(board.to_json(orient="records", indent=1))
        return 0
    click.echo(to_text(board))
    return 0
