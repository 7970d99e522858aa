"""Executors: many plans, one after the other or several at once, each in its own process. They print nothing.

A failed run does not affect the others. Ctrl-C ends all runs and keeps their checkpoints.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol, TextIO, cast

from cl.errors import INTERRUPTED, ClbenchError, RunInUse, sentence
from cl.plan.plan import Plan
from cl.progress.base import Observer
from cl.progress.displays import PlainProgress
from cl.running.execution import complete_record, execute
from cl.running.folder import log_of
from cl.running.result import RunResult
from cl.training.shared_tables import SharedTables

GRACE = 30.0
"""Seconds before an interrupted process is killed."""

SKIP_RUNNING = "skip-running"


@dataclass(frozen=True)
class Outcome:
    """The outcome of a plan: a result, or a sentence with the error or the reason why it was skipped."""

    plan: Plan
    result: RunResult | None = None
    error: str = ""
    exit_code: int = 0
    skipped: str = ""
    traceback: str = field(default="", repr=False)


class GridObserver(Protocol):
    """Receives events of the runs of a grid, always in the process and thread of the executor."""

    def started(self, plan: Plan, index: int, total: int) -> None:
        """Run `index` (from 0) of `total` starts."""

    def progress(self, plan: Plan) -> AbstractContextManager[Observer]:
        """The observer that displays a run of this process."""

    def line(self, plan: Plan, text: str) -> None:
        """A run in another process printed a line."""

    def finished(self, outcome: Outcome) -> None:
        """A run has ended."""


class Executor(Protocol):
    """Executes plans and returns the outcome of each plan that was started, in order."""

    def execute(self, plans: Sequence[Plan], observer: GridObserver) -> list[Outcome]: ...


@dataclass(frozen=True)
class LocalExecutor:
    """Executes on this machine, `jobs` runs at once; with one job, runs share memoised features in memory.

    `existing` is as for `cl.run`; with "skip-running" a run of another process is skipped. `threads`: CPU threads per
    run, by default torch's choice for one run, or an equal share of the cores for several at once. `profile`: whether
    to measure where the time of each run goes. `log_level`: level of the log messages that other processes send;
    `lines`: whether they send their progress.
    """

    jobs: int = 1
    threads: int | None = None
    existing: str = "only-missing"
    profile: bool = False
    log_level: int = logging.WARNING
    lines: bool = True

    def execute(self, plans: Sequence[Plan], observer: GridObserver) -> list[Outcome]:
        """Execute the plans; after Ctrl-C, started plans get an outcome with exit code 130 and no other is started."""
        if self.jobs > 1 and len(plans) > 1:
            return _Processes(self, plans, observer).run()
        if self.threads is not None:
            _set_threads(self.threads)
        tables = SharedTables()
        outcomes: list[Outcome] = []
        for index, plan in enumerate(plans):
            observer.started(plan, index, len(plans))
            outcomes.append(self.one(plan, observer.progress, tables))
            observer.finished(outcomes[-1])
            if len(plans) > 1:
                outcomes[-1] = _without_learner(outcomes[-1])
            if outcomes[-1].exit_code == INTERRUPTED:
                break
        return outcomes

    def one(
        self,
        plan: Plan,
        progress: Callable[[Plan], AbstractContextManager[Observer]],
        tables: SharedTables | None = None,
    ) -> Outcome:
        """Execute one plan in this process; `tables` holds features of earlier runs."""
        try:
            with progress(plan) as show:
                result = execute(plan, existing=self.existing, progress=show, profile=self.profile, tables=tables)
                return Outcome(plan, result)
        except KeyboardInterrupt:
            return Outcome(plan, error="Interrupted.", exit_code=INTERRUPTED)
        except BrokenPipeError:  # the reader of our output has exited
            raise
        except Exception as error:  # a failed run must not end the grid
            if isinstance(error, RunInUse) and self.existing == SKIP_RUNNING:
                return Outcome(plan, skipped="another process is running it.")
            return _failed(plan, error)


def _without_learner(outcome: Outcome) -> Outcome:
    """The outcome without the learner, whose network and features would stay in memory to the end of a grid."""
    if outcome.result is None:
        return outcome
    return dataclasses.replace(outcome, result=dataclasses.replace(outcome.result, _learner=None))


def _failed(plan: Plan, error: Exception) -> Outcome:
    text = sentence(error)
    if not isinstance(error, ClbenchError):
        where = log_of(error)
        text += f" The traceback is in {where}." if where is not None else " CLBENCH_DEBUG=1 shows where."
    code = error.exit_code if isinstance(error, ClbenchError) else 1
    return Outcome(plan, error=text, exit_code=code, traceback="".join(traceback.format_exception(error)))


def _set_threads(number: int) -> None:
    import torch

    torch.set_num_threads(number)


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# --------------------------------------------------------------------------------------------------- several at once


@dataclass
class _Child:
    index: int
    plan: Plan
    process: Any
    pipe: Connection
    outcome: Outcome | None = None


class _Processes:
    """Plans in separate processes, `jobs` at a time."""

    def __init__(self, how: LocalExecutor, plans: Sequence[Plan], observer: GridObserver) -> None:
        threads = how.threads if how.threads is not None else max(1, cores() // how.jobs)
        self.how, self.observer = dataclasses.replace(how, jobs=1, threads=threads), observer
        self.jobs, self.total = how.jobs, len(plans)
        self.waiting = deque(enumerate(plans))
        self.children: dict[Connection, _Child] = {}
        self.outcomes: dict[int, Outcome] = {}

    def run(self) -> list[Outcome]:
        try:
            while self.waiting or self.children:
                while self.waiting and len(self.children) < self.jobs:
                    self._begin(*self.waiting.popleft())
                self._listen()
        except KeyboardInterrupt:
            self._interrupt()
        finally:  # no child outlives this call, however it ends
            for child in self.children.values():
                child.process.kill()
        return [self.outcomes[index] for index in sorted(self.outcomes)]

    def _begin(self, index: int, plan: Plan) -> None:
        self.observer.started(plan, index, self.total)
        outcome = self._at_once(plan)
        if outcome is not None:
            self._finish(index, outcome)
            return
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(theirs, plan, self.how), name=plan.title)
        try:
            with _no_interrupt():
                process.start()
        except Exception as error:  # a plan whose class only this process knows cannot be pickled
            ours.close()
            self._finish(index, _failed(plan, error))
            return
        finally:
            theirs.close()
        self.children[ours] = _Child(index, plan, process, ours)

    def _at_once(self, plan: Plan) -> Outcome | None:
        """The outcome of a run that is already complete, without starting a process."""
        if self.how.existing not in ("only-missing", SKIP_RUNNING):
            return None
        try:
            if complete_record(plan.folder) is None:
                return None
        except ClbenchError as error:
            return _failed(plan, error)
        return self.how.one(plan, self._as_lines)

    def _as_lines(self, plan: Plan) -> AbstractContextManager[Observer]:
        return _display(_Lines(lambda text: self.observer.line(plan, text)), self.how.lines)

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
                self._finish(child.index, child.outcome or _ended(child))
                continue
            if isinstance(said, str):
                self.observer.line(child.plan, said)
            else:
                child.outcome = said

    def _finish(self, index: int, outcome: Outcome) -> None:
        self.outcomes[index] = outcome
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


# ------------------------------------------------------------------------------------------------- in the other process


class _Lines:
    """A text stream that forwards complete lines."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.begun = ""
        self.lock = threading.RLock()

    def write(self, text: str) -> int:
        with self.lock:
            *lines, self.begun = (self.begun + text).split("\n")
            for line in lines:
                self.say(line)
        return len(text)

    def flush(self) -> None:
        pass


def _display(stream: _Lines, lines: bool) -> Observer:
    return PlainProgress(cast(TextIO, stream)) if lines else Observer()


def _work(pipe: Connection, plan: Plan, how: LocalExecutor) -> None:
    """Execute one plan and send its progress and its outcome through the pipe."""
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    lines = _Lines(pipe.send)
    handler = logging.StreamHandler(cast(TextIO, lines))
    handler.setLevel(how.log_level)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    handler.addFilter(lambda record: record.exc_info is None)  # errors are reported once, by the outcome
    logger = logging.getLogger("clbench")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        _set_threads(how.threads or 1)
        outcome = how.one(plan, lambda _: _display(lines, how.lines))
    except KeyboardInterrupt:
        outcome = Outcome(plan, error="Interrupted.", exit_code=INTERRUPTED)
    except BrokenPipeError:  # the receiver has been killed
        return
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the outcome is sent in any case
    outcome = _without_learner(outcome)
    with contextlib.suppress(BrokenPipeError):
        pipe.send(outcome)
    pipe.close()


def _stop(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end_with_parent() -> None:
    """Stop as after Ctrl-C if the parent process has been killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
