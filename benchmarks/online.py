"""Learning an online stream, chunk by chunk, compared with the same number of equal steps in one fit.

`python -m benchmarks.online` fine-tunes the embedded backbone. Both sides take as many steps on batches of the
same size; the one fit has all images in one task.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import click
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from benchmarks.measuring import FIGURE_COLUMNS, Clock, Figure, as_in_a_run, median_interval, table
from cl import registry
from cl.plan.plan import Plan, make_plan
from cl.random import Seeds
from cl.running.build import build_backbone, build_stream
from cl.training.checkpoint import Checkpoint
from cl.training.trainer import Trainer

CHUNK = 16
LIMIT = 1.05


def plan_of(stream: str, train_per_class: int, online: bool, results: Path) -> Plan:
    """finetune with one epoch; online in chunks of one batch, else with all classes in one task."""
    options: dict[str, Any] = {
        "stream.train_per_class": train_per_class, "epochs": 1, "batch_size": CHUNK, "lr": 0.01, "loss": "global",
        "schedule": "constant", "augment": "crop-flip", "trains": "all", "stream.tasks": 1,
    }  # fmt: skip
    setting: tuple[str, ...] = ()
    if online:
        options["stream.chunk"] = CHUNK
        setting = ("online",)
    return make_plan("finetune", stream, options=options, device="cpu", results=results, setting=setting)


def learned(plan: Plan, stream: Any, folder: Path) -> tuple[float, int]:
    """CPU seconds of learning all experiences, and the number of optimiser steps."""
    trainer = Trainer(seeds=Seeds(**plan.seeds), checkpoint=Checkpoint(folder, plan.checkpoint_every))
    strategy = registry.strategies.get("finetune")(plan.options, build_backbone(plan), trainer)
    strategy.info = stream.info
    strategy.setup(stream.info)
    clock, steps = Clock(), 0

    def count(*_: Any) -> None:
        nonlocal steps
        steps += 1

    handle = register_optimizer_step_post_hook(count)
    try:
        for task in range(len(stream.experiences)):
            view = stream.view(task)
            trainer.journal.begin(task)
            with clock.running():
                strategy.learn(view)
            view.revoke()
    finally:
        handle.remove()
    return clock.cpu, steps


def compare(stream: str, train_per_class: int, rounds: int) -> tuple[list[float], int]:
    """Ratios of `rounds` rounds after a warm-up, and the steps; raises `SystemExit` if the steps differ."""
    ratios = []
    with tempfile.TemporaryDirectory() as temporary:
        plans = [plan_of(stream, train_per_class, online, Path(temporary)) for online in (True, False)]
        streams = [build_stream(plan) for plan in plans]
        for number in range(-1, rounds):
            found: dict[int, tuple[float, int]] = {}
            for side in (0, 1) if number % 2 else (1, 0):
                found[side] = learned(plans[side], streams[side], Path(temporary, f"{number}-{side}"))
            if found[0][1] != found[1][1]:
                raise SystemExit(f"{found[0][1]} steps online and {found[1][1]} in one fit; they cannot be compared.")
            if number >= 0:
                ratios.append(found[0][0] / found[1][0])
    return ratios, found[0][1]


@click.command()
@click.option("--stream", default="split-digits", show_default=True)
@click.option("--train-per-class", default=100, show_default=True, type=click.IntRange(1))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1))
def main(stream: str, train_per_class: int, rounds: int, threads: int) -> None:
    """Measure the CPU seconds of learning an online stream / those of one fit."""
    os.environ["CLBENCH_OFFLINE"] = "1"
    as_in_a_run()
    torch.set_num_threads(threads)
    ratios, steps = compare(stream, train_per_class, rounds)
    figure = Figure(f"online / one fit, {stream}, {steps} steps", median_interval(ratios), LIMIT)
    click.echo(table(FIGURE_COLUMNS, [figure.row()]))


if __name__ == "__main__":
    main()
