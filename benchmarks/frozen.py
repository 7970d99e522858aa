"""Five frozen-feature strategies with three seeds in one command, compared with one cold run.

`python -m benchmarks.frozen` runs `clbench run` in processes of its own. Both commands start without memoised features
and find decoded images in the cache.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import click

from benchmarks.measuring import FIGURE_COLUMNS, Figure, median_interval, table
from benchmarks.startup import MAIN, spent

STRATEGIES = ("simplecil", "linear-probe", "ranpac", "kvb", "avalanche/slda")
SEEDS = "1993,1996,1997"
ONE = "simplecil"
LIMIT = 1.3


@click.command()
@click.option("--repeats", default=5, show_default=True, type=click.IntRange(1))
@click.option("--stream", default="split-cifar100", show_default=True)
@click.option("--strategies", default=",".join(STRATEGIES), show_default=True)
@click.option("--set", "options", multiple=True, help="Options of the stream for both commands, as for clbench run.")
def main(repeats: int, stream: str, strategies: str, options: tuple[str, ...]) -> None:
    """Measure CPU seconds of all runs / CPU seconds of one cold run."""
    common = [
        "--stream",
        stream,
        "--device",
        "cpu",
        "--threads",
        "1",
        *(part for each in options for part in ("--set", each)),
    ]
    many = ["run", "-s", strategies, "--seed", SEEDS, *common]
    one = ["run", "-s", ONE, *common]
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        home, results = Path(folder, "home"), Path(folder, "results")
        own = {
            "CLBENCH_HOME": str(home),
            "CLBENCH_RESULTS": str(results),
            "CLBENCH_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }

        def cold(arguments: list[str]) -> float:
            for each in (home / "features", results):
                shutil.rmtree(each, ignore_errors=True)
            return spent(MAIN, *arguments, environment={**os.environ, **own})

        cold(one)  # decodes the images
        for repeat in range(repeats):
            order = (many, one) if repeat % 2 else (one, many)
            seconds = {id(arguments): cold(arguments) for arguments in order}
            ratios.append(seconds[id(many)] / seconds[id(one)])
            click.echo(f"all {seconds[id(many)]:.1f} s, one cold run {seconds[id(one)]:.1f} s", err=True)
    name = f"{len(strategies.split(','))} strategies x {len(SEEDS.split(','))} seeds / one cold run"
    click.echo(table(FIGURE_COLUMNS, [Figure(name, median_interval(ratios), LIMIT).row()]))


if __name__ == "__main__":
    main()
