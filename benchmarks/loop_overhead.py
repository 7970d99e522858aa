"""Overhead of the loop: `fit` compared with a bare PyTorch loop, and the parts of a whole run's time.

`python -m benchmarks.loop_overhead` takes a few minutes; use a quiet machine. See benchmarks/README.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import click
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from benchmarks.measuring import FIGURE_COLUMNS, Figure, as_in_a_run, machine, median_interval, table
from cl import registry
from cl.backbone import Backbone
from cl.backbone.transform import Transform
from cl.errors import DataError
from cl.parts.losses import local_cross_entropy
from cl.plan.plan import Plan, make_plan
from cl.random import Seeds
from cl.running.build import build_backbone, build_stream
from cl.running.execution import execute
from cl.training.checkpoint import Checkpoint
from cl.training.fit import FitSpec
from cl.training.generators import generator
from cl.training.trainer import Trainer

STREAMS: dict[str, dict[str, Any]] = {
    "split-digits": {"epochs": 2},
    "split-cifar100": {"epochs": 2, "stream.train_per_class": 50, "stream.test_per_class": 10},
}
"""Streams and the options that keep them short; streams without data on this machine are left out."""
MOMENTUM = 0.9
BOUND = 1.02
"""Target: fit / bare loop is at most this in fits of at least `STEPS` steps."""
STEPS = 300


def plan_of(stream: str, results: Path, epochs: int | None = None) -> Plan:
    """finetune on all parameters of the embedded backbone, with a constant learning rate, on the CPU."""
    options = {
        **STREAMS[stream],
        **({"epochs": epochs} if epochs else {}),
        "lr": 0.01,
        "momentum": MOMENTUM,
        "schedule": "constant",
        "loss": "local",
        "trains": "all",
    }
    return make_plan("finetune", stream, options=options, device="cpu", results=results)


# -------------------------------------------------------------------------------------- fit against a bare loop


def learner(plan: Plan, stream: Any, folder: Path) -> Any:
    """A new learner at the start of the first task, with its own journal."""
    trainer = Trainer(seeds=Seeds(**plan.seeds), checkpoint=Checkpoint(folder, plan.checkpoint_every))
    strategy = registry.strategies.get("finetune")(plan.options, build_backbone(plan), trainer)
    strategy.info = stream.info
    strategy.setup(stream.info)
    trainer.journal.begin(0)
    return strategy


def time_fit(strategy: Any, view: Any) -> float:
    """CPU seconds of the strategy's own `learn`: one fit."""
    clock = time.process_time()
    strategy.learn(view)
    return time.process_time() - clock


def time_bare(strategy: Any, view: Any) -> float:
    """CPU seconds of the same steps on the same batches in plain PyTorch."""
    clock = time.process_time()
    options, backbone, head = strategy.options, strategy.backbone, strategy.head
    head.grow_to(len(view.seen), strategy.init_rng("head"))
    source = strategy.batches(view.train, options.batch_size, options.augment)
    parameters = _weights(strategy)
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.SGD(parameters, lr=options.lr, momentum=MOMENTUM, foreach=True)
    backbone.train()
    head.train()
    for epoch in range(options.epochs):
        for batch in source.epoch(epoch, _rng(strategy, epoch)):
            optimizer.zero_grad(set_to_none=True)
            loss = local_cross_entropy(head(backbone(batch.x)), batch.y, view.classes)
            loss.backward()
            optimizer.step()
    return time.process_time() - clock


def _rng(strategy: Any, epoch: int) -> Callable[..., torch.Generator]:
    """The random streams of `fit`, so that both loops see the same batches."""
    return lambda *key: generator(strategy.trainer.seeds.data, "fit", 0, "train", 1, epoch, *key)


def compare(stream_name: str, rounds: int, least: int) -> dict[str, Any]:
    """Alternate both loops, and which one is first; raises `SystemExit` if they end with different weights.

    A fit has as many epochs as `least` steps need.
    """
    fits: list[float] = []
    bares: list[float] = []
    with tempfile.TemporaryDirectory() as temporary:
        plan = plan_of(stream_name, Path(temporary))
        stream = build_stream(plan)
        view = stream.view(0)
        steps = -(-len(view.train) // plan.options.batch_size)
        plan = plan_of(stream_name, Path(temporary), max(plan.options.epochs, -(-least // steps)))
        for number in range(-1, rounds):  # the first round warms up
            pair = [learner(plan, stream, Path(temporary, f"{number}-{kind}")) for kind in ("fit", "bare")]
            if number % 2:
                bare, fit = time_bare(pair[1], view), time_fit(pair[0], view)
            else:
                fit, bare = time_fit(pair[0], view), time_bare(pair[1], view)
            if not all(map(torch.equal, _weights(pair[0]), _weights(pair[1]))):
                raise SystemExit(
                    f"{stream_name}: the two loops computed different weights; the comparison is not valid."
                )
            if number >= 0:
                fits.append(fit)
                bares.append(bare)
        steps = pair[0].batches(view.train, plan.options.batch_size).steps * plan.options.epochs
    ratios = [fit / bare for fit, bare in zip(fits, bares, strict=True)]
    return {
        "steps": steps, "ratios": ratios, "fit_seconds": statistics.median(fits),
        "bare_seconds": statistics.median(bares),
    }  # fmt: skip


def _weights(strategy: Any) -> list[torch.Tensor]:
    return [*strategy.backbone.parameters(), *strategy.head.parameters()]


# -------------------------------------------------------------------------------------------- a whole run's seconds


class Parts:
    """Seconds by part of the work; only the outermost of nested parts counts."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._busy = False

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        if self._busy:
            yield
            return
        self._busy, clock = True, time.perf_counter()
        try:
            yield
        finally:
            self._busy = False
            self.seconds[name] += time.perf_counter() - clock

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.timed(name):
                return call(*args, **kwargs)

        return timed


class TimedSource:
    """A data source whose batches are timed."""

    def __init__(self, source: Any, parts: Parts) -> None:
        self._source, self._parts = source, parts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def epoch(self, *args: Any) -> Iterator[Any]:
        batches = self._source.epoch(*args)
        while True:
            with self._parts.timed("data"):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch


@contextlib.contextmanager
def watched(parts: Parts) -> Iterator[None]:
    """Time forward, backward, optimiser and data in the loop."""
    fit, started = Trainer.fit, [0.0]

    def timed_fit(self: Trainer, strategy: Any, phase: str, spec: FitSpec) -> Any:
        return fit(
            self,
            strategy,
            phase,
            replace(spec, data=TimedSource(spec.data, parts), loss=parts.wrap("forward", spec.loss)),
        )

    def begin(*_: Any) -> None:
        started[0] = time.perf_counter()

    def end(*_: Any) -> None:
        parts.seconds["optimizer"] += time.perf_counter() - started[0]

    hooks = [register_optimizer_step_pre_hook(begin), register_optimizer_step_post_hook(end)]
    try:
        with (
            mock.patch.object(Trainer, "fit", timed_fit),
            mock.patch.object(Backbone, "forward", parts.wrap("forward", Backbone.forward)),  # also in evaluation
            mock.patch.object(Transform, "__call__", parts.wrap("data", Transform.__call__)),
            mock.patch.object(torch.Tensor, "backward", parts.wrap("backward", torch.Tensor.backward)),
        ):
            yield
    finally:
        for hook in hooks:
            hook.remove()


def whole_run(stream_name: str) -> dict[str, Any]:
    """Seconds of a complete run: as in its record, by part, and the overhead.

    The loop's overhead is everything in the run (journal, checkpoints, records, FLOP counting, progress, bookkeeping of
    evaluation) except forward, backward, optimiser and data. Building the stream and loading the backbone are not
    included.
    """
    from cl.running import loop

    parts, total = Parts(), [0.0]

    def timed_run(*args: Any, **kwargs: Any) -> Any:
        clock = time.perf_counter()
        try:
            return run(*args, **kwargs)
        finally:
            total[0] = time.perf_counter() - clock

    run = loop.run
    with tempfile.TemporaryDirectory() as temporary, watched(parts), mock.patch.object(loop, "run", timed_run):
        record = execute(plan_of(stream_name, Path(temporary))).record
    overhead = total[0] - sum(parts.seconds.values())
    return {
        "seconds": total[0], "parts": dict(parts.seconds), "overhead_seconds": overhead,
        "overhead_share": overhead / total[0], "record": record["measurement"]["seconds"],
    }  # fmt: skip


def _seconds(values: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.2f}" for name, value in values.items())


@click.command()
@click.option(
    "--stream", "streams", multiple=True, type=click.Choice(list(STREAMS)), help="Default: all with local data."
)
@click.option("--steps", default=STEPS, show_default=True, type=click.IntRange(1), help="Least steps of a fit.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Rounds of fit and bare loop.")
@click.option("--threads", type=click.IntRange(1), help="PyTorch threads; default: PyTorch's choice.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def main(streams: tuple[str, ...], steps: int, rounds: int, threads: int | None, as_json: bool) -> None:
    """Measure the overhead of the loop."""
    os.environ["CLBENCH_OFFLINE"] = "1"
    as_in_a_run()
    if threads:
        torch.set_num_threads(threads)
    found: dict[str, Any] = {"threads": torch.get_num_threads(), **machine()}
    for name in streams or STREAMS:
        try:
            fit, run = compare(name, rounds, steps), whole_run(name)
        except DataError as error:
            click.echo(f"{name}: left out ({error})", err=True)
            continue
        found[name] = {"fit": fit, "run": run}
        if as_json:
            continue
        figure = Figure(
            f"{name}: fit / bare loop, {fit['steps']} steps", median_interval(fit["ratios"]),
            BOUND if steps >= STEPS else None,
        )  # fmt: skip
        click.echo(table(FIGURE_COLUMNS, [figure.row()]))
        click.echo(f"  median CPU seconds: fit {fit['fit_seconds']:.3f}, bare {fit['bare_seconds']:.3f}")
        click.echo(f"  whole run {run['seconds']:.2f} s: {_seconds(run['parts'])}")
        click.echo(f"  loop overhead {run['overhead_seconds']:.2f} s, {run['overhead_share']:.1%} of the run")
        click.echo(f"  its record says: {_seconds(run['record'])}")
    if as_json:
        click.echo(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
