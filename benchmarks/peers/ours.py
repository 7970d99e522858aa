"""clbench's side: the product's own run of a plan, with its journal, checkpoints, records and metrics."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.peers.counting import Counter, flat
from benchmarks.peers.work import METHODS, Job, Measured

Turn = Callable[[], None]
"""Hands over to the other side and returns when it is this side's turn."""


def plan_of(job: Job, results: Path) -> Any:
    """The run of a job."""
    from cl.plan.plan import make_plan

    strategy, preset, _ = METHODS[job.method]
    return make_plan(
        strategy, job.stream, options=job.options(), preset=preset, device="cpu", precision=job.precision,
        results=results,
    )  # fmt: skip


def prepare(job: Job) -> Any:
    """The stream, which both sides read once before anything is measured."""
    from cl.running.build import build_stream

    return build_stream(plan_of(job, Path(tempfile.gettempdir())))


def run(job: Job, stream: Any, turn: Turn, *, tasks: int | None = None, in_detail: bool = False) -> Measured:
    """One run with an empty cache of features; `tasks` stops early, `in_detail` counts images and keeps weights."""
    from cl import registry
    from cl.progress.base import Observer
    from cl.running import execution, loop

    found = Measured()
    counter = Counter(found, in_detail)
    network: list[Any] = []
    method = registry.strategies.get(METHODS[job.method][0])
    learn, evaluate, run_loop, build_backbone = method.learn, loop.evaluate, loop.run, execution.build_backbone

    class Turns(Observer):
        def event(self, index: int, total: int, text: str) -> None:
            turn()

    def built(*arguments: Any) -> Any:
        backbone = build_backbone(*arguments)
        network.append(backbone.model)
        counter.watch(backbone.model)
        return backbone

    def timed_learn(self: Any, view: Any) -> None:
        counter.begin_task()
        with found.learn.running():
            learn(self, view)
        if in_detail:
            found.weights.append(flat(network[0]))

    def timed_evaluate(*arguments: Any, **named: Any) -> Any:
        with found.evaluation.running():
            row = evaluate(*arguments, **named)
        labels = stream.test_rows(range(len(stream.groups)), "test")[1][row.index]
        found.evaluated.append(len(row.index))
        found.accuracy.append(float((row.prediction["cil_seen"] == labels).mean()))
        return row

    def timed_run(*arguments: Any, **named: Any) -> Any:
        with found.whole.running():
            return run_loop(*arguments, **named)

    with tempfile.TemporaryDirectory() as folder, counter.counting():
        plan = plan_of(job, Path(folder, "results"))
        if tasks is not None:
            object.__setattr__(plan, "max_tasks", tasks)
        with (
            mock.patch.dict(os.environ, CLBENCH_HOME=str(Path(folder, "home"))),  # no memoised features
            mock.patch.object(execution, "build_stream", lambda *_: stream),
            mock.patch.object(execution, "build_backbone", built),
            mock.patch.object(method, "learn", timed_learn),
            mock.patch.object(loop, "evaluate", timed_evaluate),
            mock.patch.object(loop, "run", timed_run),
        ):
            execution.execute(plan, progress=Turns())
    return found
