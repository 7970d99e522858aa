"""The gain of each choice for CPUs in `cl.backbone` and `cl.running.allocator`, switched on and off in turn.

python -m benchmarks.cpu_kernels
python -m benchmarks.cpu_kernels --backbone vit_small_patch16_224@random --batch-size 8 --precision fp32 --compile
"""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import click
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.measuring import cpu_seconds, median_interval
from cl.backbone import Backbone, load, model
from cl.backbone.attention import explicit, slow_to_differentiate
from cl.plan.run_options import DEFAULT_BACKBONE
from cl.running.allocator import keep_freed_memory

ROOT = Path(__file__).resolve().parents[1]


class Training:
    """Steps of SGD on random images."""

    def __init__(self, backbone: Backbone, batch: int) -> None:
        size, self.backbone, self.head = backbone.transform.size, backbone, nn.Linear(backbone.dim, 10)
        self.images, self.labels = torch.randn(batch, 3, size, size), torch.zeros(batch, dtype=torch.long)
        backbone.train().requires_grad_(True)
        parameters = [*backbone.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, foreach=True)

    def step(self, plain: bool = True) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        attention = slow_to_differentiate([self.backbone], torch.device("cpu")) if plain else []
        with mock.patch.object(Backbone, "_kernels", lambda *_: explicit(attention)):
            loss = F.cross_entropy(self.head(self.backbone(self.images)), self.labels)
        loss.backward()
        self.optimizer.step()


def seconds(work: Callable[[], None], repeats: int) -> float:
    """CPU seconds of one call."""
    clock = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - clock) / repeats


def compared(name: str, work: Callable[[bool], None], rounds: int, repeats: int) -> None:
    """Print the ratio of the time with a choice to the time without it."""
    for chosen in (True, False):
        work(chosen)
    ratios, best = [], [float("inf"), float("inf")]
    for number in range(rounds):
        order = (True, False) if number % 2 else (False, True)
        took = {chosen: seconds(functools.partial(work, chosen), repeats) for chosen in order}
        ratios.append(took[True] / took[False])
        best = [min(best[0], took[True]), min(best[1], took[False])]
    click.echo(f"{name:<34}{median_interval(ratios)!s:<26}best {best[0] * 1e3:.1f} and {best[1] * 1e3:.1f} ms")


def memory_ratio(arguments: list[str], rounds: int) -> None:
    """The same for the allocator, whose settings last: each measurement has a process of its own."""

    def measured(kept: bool) -> float:
        command = [sys.executable, "-m", "benchmarks.cpu_kernels", *arguments, "--one", "kept" if kept else "returned"]
        return float(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout)

    pairs = [{kept: measured(kept) for kept in ((True, False), (False, True))[number % 2]} for number in range(rounds)]
    ratios = [pair[True] / pair[False] for pair in pairs]
    click.echo(f"{'training: freed memory kept':<34}{median_interval(ratios)!s}")


@click.command(help=__doc__)
@click.option("--backbone", "name", default=DEFAULT_BACKBONE, show_default=True)
@click.option("--batch-size", default=16, show_default=True, help="Of training; inference has 64 images.")
@click.option("--precision", default="bf16", show_default=True)
@click.option("--rounds", default=5, show_default=True, help="Alternating rounds; the median ratio is shown.")
@click.option("--steps", default=10, show_default=True, help="Training steps per round.")
@click.option("--compile", "compiles", is_flag=True, help="Also compare compiled training steps.")
@click.option("--one", hidden=True)
def main(name: str, batch_size: int, precision: str, rounds: int, steps: int, compiles: bool, one: str | None) -> None:
    torch.set_num_threads(1)
    if one == "kept":
        keep_freed_memory()
    training = Training(load(name, precision=precision), batch_size)
    if one is not None:
        training.step()
        click.echo(seconds(training.step, steps))
        return
    click.echo(
        f"{name}, {precision}, batches of {batch_size}; CPU seconds with a choice / without, median and interval"
    )
    memory_ratio(["--backbone", name, "--batch-size", str(batch_size), "--precision", precision, "--steps", str(steps)],
                 rounds)  # fmt: skip
    keep_freed_memory()
    compared("training: plain attention", training.step, rounds, steps)
    images = torch.randn(64, 3, *[training.backbone.transform.size] * 2)
    infers = model._infers

    def inference(chosen: bool) -> None:
        model._infers = infers if chosen else lambda images: False
        with torch.no_grad():
            training.backbone(images)

    compared("inference: packed weights", inference, rounds, max(steps // 3, 1))
    model._infers = infers
    if compiles:
        clock = cpu_seconds()
        training.backbone.compile_passes()
        compiled = training.backbone._compiled
        training.step()
        click.echo(f"compiling took {cpu_seconds() - clock:.0f} CPU seconds")

        def step(chosen: bool) -> None:
            training.backbone._compiled = compiled if chosen else []
            training.step()

        compared("training: compiled", step, rounds, steps)


if __name__ == "__main__":
    main()
