"""Training steps of methods with a memory, compared with fine-tuning on batches of as many images.

`python -m benchmarks.memory_methods` measures on the embedded backbone, in the second task, with the method's own
batches, hooks and optimiser. An image seen is a new or a remembered one. Methods that also pass an image through a
frozen network, such as the teacher of iCaRL, are compared with fine-tuning and as many such passes.
"""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

from benchmarks.measuring import FIGURE_COLUMNS, Clock, Figure, as_in_a_run, machine, median_interval, table
from cl import registry
from cl.plan.plan import Plan, make_plan
from cl.random import Seeds
from cl.running.build import build_backbone, build_stream
from cl.training.batches import Batch
from cl.training.fit import Fit, FitSpec
from cl.training.generators import generator
from cl.training.journal import Learner
from cl.training.optim import Step
from cl.training.trainer import Trainer

LIMIT = 1.05
"""Upper bound of a step / a step of fine-tuning with the same passes on as many images."""


@dataclass(frozen=True)
class Case:
    """A method, the fit of its second task that is measured, and its passes through frozen networks."""

    strategy: str
    options: dict[str, Any] = field(default_factory=dict)
    phase: str = "train"
    frozen: int = 0
    gradients: int = 1  # of batches of their own in a step; fine-tuning then has batches as large as each
    limit: float | None = LIMIT


ONCE = {"boost_epochs": 1, "compress_epochs": 1}
CASES: dict[str, Case] = {
    "finetune": Case("finetune"),
    "replay": Case("replay"),
    "der-pp, beta=0": Case("der-pp", {"beta": 0.0}),
    "der-pp, beta=0.5": Case("der-pp", {"beta": 0.5}),
    "er-ace": Case("er-ace"),
    "a-gem": Case("a-gem", gradients=2),
    "gdumb": Case("gdumb"),
    "wa": Case("wa", frozen=1),
    "icarl": Case("icarl", frozen=1),
    "bic": Case("bic", {"bias_epochs": 1}, frozen=1),
    "foster, boosting": Case("foster", ONCE, "boost", frozen=1),
    "foster, boosting / a pass more for distillation": Case("foster", ONCE, "boost", frozen=2, limit=None),
    "foster, compression": Case("foster", ONCE, "compress", frozen=2),
}
"""What is measured. Fine-tuning beside itself shows the error of the measurement."""


class _Reached(BaseException):
    """Ends `learn` where the fit to measure would begin."""

    def __init__(self, fit: Fit) -> None:
        super().__init__()
        self.fit = fit


class Stops(Trainer):
    """A trainer that raises `_Reached` in place of a fit of the second task; `frozen` passes are added to its loss."""

    def __init__(self, phase: str, frozen: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.phase, self.frozen = phase, frozen

    def fit(self, strategy: Learner, phase: str, spec: FitSpec) -> dict[str, Any]:
        if self.journal.task != 1 or phase != self.phase:
            return super().fit(strategy, phase, spec)
        if self.frozen:
            network = copy.deepcopy(strategy.backbone).eval().requires_grad_(False)  # type: ignore[attr-defined]

            def loss(batch: Batch, own: Callable[[Batch], Tensor] = spec.loss) -> Tensor:
                with torch.no_grad():
                    for _ in range(self.frozen):
                        network(batch.x)
                return own(batch)

            spec = replace(spec, loss=loss)
        key = self.journal.next("fit", phase)
        raise _Reached(Fit(self.journal, strategy, key, spec, device=self.device, observer=self.observer))


class Steps:
    """The steps of one fit, one after the other, from epoch to epoch."""

    def __init__(self, fit: Fit) -> None:
        self.fit, self.number, self.largest = fit, 0, 0
        fit._train_mode()
        self.batches = self._endless()

    def _endless(self) -> Iterator[Batch]:
        epoch = 0
        while True:
            yield from self.fit.data.epoch(epoch, lambda *key: generator(0, *key))
            epoch += 1

    def one(self) -> tuple[float, int]:
        """CPU seconds of a step with its batch, and the images in it."""
        clock, fit = Clock(), self.fit
        with clock.running():
            batch = next(self.batches)
            fit._one_step(batch, Step(0, self.number, 1, self.number + 2, fit.optimizer))
        self.number += 1
        self.largest = max(self.largest, len(batch))
        return clock.cpu, len(batch)

    def whole(self) -> tuple[float, int]:
        """As `one`, of the next step whose batch is as large as any before."""
        while True:
            seconds, count = self.one()
            if count == self.largest:
                return seconds, count


def steps_of(case: Case, stream: str, options: dict[str, Any], precision: str, added: int = 0) -> Steps:
    """A method after one task, at the start of a fit of the second; `added` frozen passes come with each step."""
    with tempfile.TemporaryDirectory() as results:
        known = {"epochs": 1, "lr": 0.001, "augment": "crop-flip", "memory_size": 64, "loss": "global"}
        if case.strategy == "icarl":
            known.pop("loss")
        if case.strategy == "finetune":
            known.pop("memory_size")
        plan = make_plan(
            case.strategy, stream, options={**known, **options, **case.options}, device="cpu", precision=precision,
            results=Path(results),
        )  # fmt: skip
    return second_task(plan, case.phase, added)


def second_task(plan: Plan, phase: str = "train", added: int = 0) -> Steps:
    """The steps of a fit of the second task of a run, after the first task was learned."""
    trainer = Stops(phase, added, seeds=Seeds(**plan.seeds))
    strategy = registry.strategies.get(plan.strategy)(plan.options, build_backbone(plan), trainer)
    built = build_stream(plan)
    strategy.info = built.info
    strategy.setup(built.info)
    try:
        for task in range(2):
            trainer.journal.begin(task)
            strategy.learn(built.view(task))
    except _Reached as reached:
        return Steps(reached.fit)
    raise SystemExit(f"{plan.strategy} has no fit {phase!r} in its second task.")


def compare(
    names: list[str], stream: str, batch: int, images: int, precision: str, rounds: int
) -> dict[str, list[float]]:
    """Ratios of `rounds` pairs of steps after a warm-up: CPU seconds per image of a method / of fine-tuning."""
    options = {"stream.train_per_class": images, "stream.test_per_class": 1}
    pairs: dict[str, tuple[Steps, Steps]] = {}
    for name in names:
        own = steps_of(CASES[name], stream, {**options, "batch_size": batch}, precision)
        size = max(own.one()[1] for _ in range(own.fit.data.steps)) // CASES[name].gradients
        plain = steps_of(CASES["finetune"], stream, {**options, "batch_size": size}, precision, CASES[name].frozen)
        pairs[name] = own, plain
    ratios: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-2, rounds):
        for name, pair in pairs.items():
            found = {}
            for side in sorted((0, 1), reverse=bool(number % 2)):
                seconds, count = pair[side].whole()
                found[side] = seconds / count
            if number >= 0:
                ratios[name].append(found[0] / found[1])
    return ratios


@click.command()
@click.option("--stream", default="split-digits", show_default=True)
@click.option("--only", default="", help="names of the table, separated by ';'")
@click.option("--batch", default=16, show_default=True, type=click.IntRange(2))
@click.option("--images", default=64, show_default=True, type=click.IntRange(1), help="images per class")
@click.option("--precision", default="bf16", show_default=True, type=click.Choice(["fp32", "bf16"]))
@click.option("--rounds", default=25, show_default=True, type=click.IntRange(1))
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1))
def main(stream: str, only: str, batch: int, images: int, precision: str, rounds: int, threads: int) -> None:
    """Measure CPU seconds per image seen of methods with a memory / of fine-tuning with the same passes."""
    os.environ["CLBENCH_OFFLINE"] = "1"
    as_in_a_run()
    torch.set_num_threads(threads)
    for name, value in machine().items():
        click.echo(f"{name}: {value}")
    ratios = compare(only.split(";") if only else list(CASES), stream, batch, images, precision, rounds)
    click.echo(f"\nSeconds per image seen / those of finetune with as many frozen passes; bound {LIMIT}.\n")
    figures = [Figure(name, median_interval(found), CASES[name].limit) for name, found in ratios.items()]
    click.echo(table(FIGURE_COLUMNS, [figure.row() for figure in figures]))


if __name__ == "__main__":
    main()
