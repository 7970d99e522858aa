"""The local executor: one run after the other in this process, or several at once, each in its own process."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, cast

from cl.errors import INTERRUPTED
from cl.executors import worker
from cl.executors.base import Executor, GridObserver, Outcome, cores, failed
from cl.executors.placement import Waiting
from cl.options import option
from cl.plan.plan import Plan
from cl.training.shared_tables import SharedTables

GRACE = 30.0
"""Seconds before an interrupted process is killed."""

_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, kw_only=True)
class LocalExecutor(Executor):
    """Executes on this machine: `jobs` runs at once, one GPU each.

    With one job, runs share memoised features in memory. Several runs get equal numbers of cores; each takes the GPU
    of its slot, if its device is "auto" or "cuda" and there is one. Runs that were given a device keep it.
    """

    jobs: int = option(0, "runs at once; 0: one, or one per GPU where there are several", ge=0)
    runs_per_gpu: int = option(1, "runs that share a GPU", ge=1)

    def execute(self, plans: Sequence[Plan], observer: GridObserver) -> list[Outcome]:
        """Execute the plans; see `Executor.execute`."""
        if len(plans) > 1 and (jobs := self.at_once(plans)) > 1:
            return _Processes(dataclasses.replace(self, jobs=jobs), plans, observer).run()
        if self.threads is not None:
            worker.set_threads(self.threads)
        tables = SharedTables()
        outcomes: list[Outcome] = []
        for index, plan in enumerate(plans):
            observer.started(plan, index, len(plans))
            outcomes.append(self.one(plan, observer.progress, tables))
            observer.finished(outcomes[-1])
            if len(plans) > 1:
                outcomes[-1] = outcomes[-1].without_learner()
            if outcomes[-1].exit_code == INTERRUPTED:
                break
        return outcomes

    def at_once(self, plans: Sequence[Plan]) -> int:
        """The number of jobs; by default one, or one per GPU and `runs_per_gpu`."""
        return self.jobs or max(1, len(gpus_for(plans)) * self.runs_per_gpu)

    def runs_per_process(self, plans: Sequence[Plan]) -> int:
        """One, if several are executed at once; else this process executes all."""
        return 1 if self.at_once(plans) > 1 else max(1, len(plans))


def gpus_for(plans: Sequence[Plan]) -> list[str]:
    """The GPUs of this machine, as CUDA_VISIBLE_DEVICES names them, if a plan leaves the choice open."""
    if not any(plan.device in ("auto", "cuda") for plan in plans):
        return []
    if (named := os.environ.get(_VISIBLE)) is not None:
        return [each.strip() for each in named.split(",") if each.strip() not in ("", "-1")]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


# --------------------------------------------------------------------------------------------------- several at once


@dataclass
class _Child:
    index: int
    plan: Plan
    process: Any
    pipe: Connection
    slot: str
    outcome: Outcome | None = None


class _Processes:
    """Plans in separate processes, one per slot; a slot is the GPU that its runs see, or "" where there is none."""

    def __init__(self, how: LocalExecutor, plans: Sequence[Plan], observer: GridObserver) -> None:
        threads = how.threads if how.threads is not None else max(1, cores() // how.jobs)
        self.how, self.observer = dataclasses.replace(how, jobs=1, threads=threads), observer
        self.total, self.waiting = len(plans), Waiting(plans)
        gpus = gpus_for(plans) or [""]
        self.slots = deque(gpus[number % len(gpus)] for number in range(how.jobs))
        self.children: dict[Connection, _Child] = {}
        self.outcomes: dict[int, Outcome] = {}

    def run(self) -> list[Outcome]:
        try:
            while self.waiting or self.children:
                while self.waiting and self.slots:
                    self._begin(*self.waiting.take())
                if self.children:  # without one, as when all runs are complete, there is nothing to wait for
                    self._listen()
        except KeyboardInterrupt:
            self._interrupt()
        finally:  # no child outlives this call, however it ends
            for child in self.children.values():
                child.process.kill()
        return [self.outcomes[index] for index in sorted(self.outcomes)]

    def _begin(self, index: int, plan: Plan) -> None:
        self.observer.started(plan, index, self.total)
        outcome = worker.complete(plan, self.how, lambda text: self.observer.line(plan, text))
        if outcome is not None:
            self._finish(index, outcome)
            return
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        slot = self.slots.popleft()
        sees = {_VISIBLE: slot} if slot and plan.device in ("auto", "cuda") else {}
        process = context.Process(target=worker.work, args=(theirs, plan, self.how, sees), name=plan.title)
        try:
            with _no_interrupt():
                process.start()
        except Exception as error:  # a plan whose class only this process knows cannot be pickled
            ours.close()
            self.slots.append(slot)
            self._finish(index, failed(plan, error))
            return
        finally:
            theirs.close()
        self.children[ours] = _Child(index, plan, process, ours, slot)

    def _listen(self, seconds: float | None = None) -> None:
        """Forward messages of the children, and collect those that have ended."""
        for pipe in wait(list(self.children), seconds):
            child = self.children[cast(Connection, pipe)]
            try:
                said = child.pipe.recv()
            except (EOFError, OSError):  # it has ended, normally or not
                child.process.join()
                del self.children[child.pipe]
                child.pipe.close()
                self.slots.append(child.slot)
                self._finish(child.index, child.outcome or _ended(child))
                continue
            if isinstance(said, str):
                self.observer.line(child.plan, said)
            else:
                child.outcome = said

    def _finish(self, index: int, outcome: Outcome) -> None:
        self.outcomes[index] = outcome
        self.waiting.ended(index, outcome.plan, well=not outcome.exit_code)
        self.observer.finished(outcome)

    def _interrupt(self) -> None:
        """Interrupt every child as Ctrl-C does; kill those that do not end in time, which loses unsaved work."""
        for child in self.children.values():
            child.process.terminate()
        until = time.monotonic() + GRACE
        with contextlib.suppress(KeyboardInterrupt):  # a second Ctrl-C does not wait
            while self.children and (left := until - time.monotonic()) > 0:
                self._listen(left)
        for child in self.children.values():
            child.process.kill()
            child.process.join()
            self._finish(child.index, Outcome(child.plan, error="Interrupted.", exit_code=INTERRUPTED))
        self.children = {}


def _ended(child: _Child) -> Outcome:
    """The outcome of a process that ended without reporting one."""
    code = child.process.exitcode
    if code is not None and code < 0:
        how = f"was ended by {signal.Signals(-code).name}" if -code in set(signal.Signals) else f"ended with {code}"
        text = f"the process of this run {how}, perhaps for want of memory; the same command continues it."
    else:
        text = f"the process of this run ended with exit code {code} and without a result; --jobs 1 may show why."
    return Outcome(child.plan, error=text, exit_code=1)


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Make children that start inside ignore Ctrl-C, which a terminal sends to every process; we handle it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
