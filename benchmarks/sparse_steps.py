"""Training steps of methods with a mask per task, compared with dense steps of the same network.

`python -m benchmarks.sparse_steps` measures steps of the second task, each with its batch, and with updates of masks:
`--frequency` steps apart. Dense steps are those of finetune with Adam on as many images.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks.measuring import FIGURE_COLUMNS, Figure, as_in_a_run, machine, median_interval, table
from benchmarks.memory_methods import Steps, second_task
from cl.plan.plan import make_plan

PHASES = {"finetune": "train", "cl-dst": "subnetwork", "packnet": "train", "wsn": "subnetwork"}
"""What is measured, and the name of its fit. Fine-tuning beside itself shows the error."""

LIMITS = {"cl-dst": 1.3}
"""Upper bound of a step / a dense step."""

DENSE = {"optimizer": "adam", "loss": "local"}


def steps_of(strategy: str, stream: str, backbone: str, options: dict[str, Any]) -> Steps:
    """A method after one task, at the start of the second."""
    with tempfile.TemporaryDirectory() as results:
        plan = make_plan(strategy, stream, backbone, options=options, device="cpu", results=Path(results))
    return second_task(plan, PHASES[strategy])


def seconds_of(steps: Steps, count: int) -> float:
    """CPU seconds of the next `count` steps with full batches."""
    return sum(steps.whole()[0] for _ in range(count))


def compare(
    names: list[str], stream: str, backbone: str, options: dict[str, Any], frequency: int, rounds: int
) -> dict[str, list[float]]:
    """Ratios of `rounds` pairs after a warm-up: CPU seconds of `frequency` steps / of as many dense steps."""
    ratios: dict[str, list[float]] = {}
    for name in names:
        own = {"frequency": frequency} if name == "cl-dst" else DENSE if name == "finetune" else {}
        one = steps_of(name, stream, backbone, {**options, **own})
        two = steps_of("finetune", stream, backbone, {**options, **DENSE})
        ratios[name] = []
        for number in range(-1, rounds):
            found = {}
            for side in sorted((0, 1), reverse=bool(number % 2)):
                found[side] = seconds_of((one, two)[side], frequency)
            if number >= 0:
                ratios[name].append(found[0] / found[1])
    return ratios


@click.command()
@click.option("--stream", default="split-digits", show_default=True)
@click.option("-b", "--backbone", default="wsn_lenet@random", show_default=True)
@click.option("--only", default="", help="names of methods, separated by ','")
@click.option("--batch", default=32, show_default=True, type=click.IntRange(2))
@click.option("--images", default=64, show_default=True, type=click.IntRange(1), help="images per class")
@click.option("--frequency", default=20, show_default=True, type=click.IntRange(1), help="steps between new masks")
@click.option("--rounds", default=9, show_default=True, type=click.IntRange(1))
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1))
def main(
    stream: str, backbone: str, only: str, batch: int, images: int, frequency: int, rounds: int, threads: int
) -> None:
    """Measure CPU seconds of steps with masks / of dense steps."""
    os.environ["CLBENCH_OFFLINE"] = "1"
    as_in_a_run()
    torch.set_num_threads(threads)
    for name, value in machine().items():
        click.echo(f"{name}: {value}")
    options = {"epochs": 1, "augment": "none", "batch_size": batch}
    options |= {"stream.train_per_class": images, "stream.test_per_class": 1}
    ratios = compare(only.split(",") if only else list(PHASES), stream, backbone, options, frequency, rounds)
    click.echo(f"\nSeconds of {frequency} steps / of dense steps with as many images, {backbone}.\n")
    figures = [Figure(name, median_interval(found), LIMITS.get(name)) for name, found in ratios.items()]
    click.echo(table(FIGURE_COLUMNS, [figure.row() for figure in figures]))


if __name__ == "__main__":
    main()
