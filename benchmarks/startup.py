"""CPU seconds until a command works: `info`, `--dry-run` with a warm cache, and a run up to its first training step.

`python -m benchmarks.startup` runs each command several times in processes of its own and compares it with a bare
`import torch, timm`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.measuring import FIGURE_COLUMNS, Figure, cpu_seconds, median_interval, table

ROOT = Path(__file__).resolve().parents[1]
MAIN = "from cl.cli import main; main()"
FIRST_STEP = """
import os, resource, sys
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook
def stop(*_):
    sys.stdout.flush()
    os._exit(0)
register_optimizer_step_post_hook(stop)
from cl.cli import main
main()
"""
"""A run that ends with its first optimiser step. The hook is registered before `cl` is imported and costs nothing."""
INFO, DRY, STEP = 0.4, 3.0, 0.8


def spent(code: str, *arguments: str, environment: dict[str, str]) -> float:
    """CPU seconds of one process, in user and in system mode; raises `SystemExit` if it fails."""
    before = cpu_seconds()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    after = cpu_seconds()
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments) or code}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return after - before


def commands(stream: str) -> dict[str, tuple[str, Sequence[str], float | None]]:
    """Code, arguments and bound of each measurement; the bound of the run is over the bare import."""
    run = ["run", "-s", "finetune", "--stream", stream, "--device", "cpu", "--existing", "always", "--threads", "1"]
    return {
        "bare import torch, timm": ("import torch, timm", [], None),
        "info slca": (MAIN, ["info", "slca"], INFO),
        "run --dry-run": (MAIN, [*run, "--dry-run"], DRY),
        "run to the first step": (FIRST_STEP, run, None),
    }


@click.command()
@click.option("--repeats", default=5, show_default=True, type=click.IntRange(1))
@click.option("--stream", default="split-cifar100", show_default=True)
def main(repeats: int, stream: str) -> None:
    """Measure the start of commands; a complete run and a first round, which are not counted, warm the caches."""
    with tempfile.TemporaryDirectory() as folder:
        own = {"CLBENCH_HOME": str(Path(folder, "home")), "CLBENCH_RESULTS": str(Path(folder, "results"))}
        environment = {**os.environ, **own, "CLBENCH_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        found: dict[str, list[float]] = {name: [] for name in commands(stream)}
        warm = ["run", "-s", "simplecil", "--stream", stream, "--device", "cpu", "--limit", "1", "--max-tasks", "1"]
        spent(MAIN, *warm, environment=environment)  # decodes the images, and leaves the facts of the backbone
        for repeat in range(repeats + 1):
            for name, (code, arguments, _) in commands(stream).items():
                seconds = spent(code, *arguments, environment=environment)
                if repeat:
                    found[name].append(seconds)
    figures = [Figure(name, median_interval(found[name]), bound) for name, (_, _, bound) in commands(stream).items()]
    bare, step = found["bare import torch, timm"], found["run to the first step"]
    over = [one - other for one, other in zip(step, bare, strict=True)]
    figures.append(Figure("first step over the bare import", median_interval(over), STEP))
    click.echo(table(FIGURE_COLUMNS, [figure.row() for figure in figures]))


if __name__ == "__main__":
    main()
