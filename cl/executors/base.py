"""What every executor is: its outcomes, its observer, and how one run is executed in the process that holds it."""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
import os
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from cl import registry
from cl.errors import INTERRUPTED, ClbenchError, RunInUse, UsageError, sentence
from cl.options import DEFAULT, Layer, resolve
from cl.plan.plan import Plan
from cl.progress.base import Observer
from cl.running.execution import execute
from cl.running.folder import log_of
from cl.running.result import RunResult
from cl.training.shared_tables import SharedTables

SKIP_RUNNING = "skip-running"
COMMON = ("existing", "threads", "profile", "log_level", "lines")
"""Fields of every executor, which the command line has as options of its own."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a plan: a result, or a sentence with the error or the reason why it was skipped."""

    plan: Plan
    result: RunResult | None = None
    error: str = ""
    exit_code: int = 0
    skipped: str = ""
    traceback: str = field(default="", repr=False)
    in_use: bool = field(default=False, compare=False)
    """Whether another process, or one that died a moment ago, holds the folder of the run."""

    def without_learner(self) -> Outcome:
        """The outcome without the learner, whose network and features would stay in memory to the end of a grid."""
        if self.result is None:
            return self
        return dataclasses.replace(self, result=dataclasses.replace(self.result, _learner=None))


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


@dataclass(frozen=True, kw_only=True)
class Executor(ABC):
    """Executes plans; a subclass is a frozen dataclass whose further fields are its options (`cl.option`).

    `existing` is as for `cl.run`; with "skip-running" a run of another process is skipped. `threads`: CPU threads per
    run, None for the executor's choice. `profile`: whether to measure where the time of each run goes. `log_level`:
    level of the log messages that other processes send; `lines`: whether they send their progress.
    """

    existing: str = "only-missing"
    threads: int | None = None
    profile: bool = False
    log_level: int = logging.WARNING
    lines: bool = True

    requires: ClassVar[Mapping[str, str]] = {}
    """Modules that it imports in `execute`, each with the name to `pip install`; checked before anything runs."""

    @abstractmethod
    def execute(self, plans: Sequence[Plan], observer: GridObserver) -> list[Outcome]:
        """Execute the plans and return the outcome of each plan that was started, in order.

        A failed run does not affect the others. After Ctrl-C, started plans keep their checkpoint and get an outcome
        with exit code 130, and no other is started.
        """

    def at_once(self, plans: Sequence[Plan]) -> int:
        """How many of the plans are executed at the same time, as far as that is known; for estimates of time."""
        return 1

    @property
    def detaches(self) -> bool:
        """Whether `execute` returns while runs go on elsewhere; they have no outcome then."""
        return False

    def runs_per_process(self, plans: Sequence[Plan]) -> int:
        """How many of the plans a process executes, one after the other; for estimates of time."""
        return 1

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
            in_use = isinstance(error, RunInUse)
            if in_use and self.existing == SKIP_RUNNING:
                return Outcome(plan, skipped="another process is running it.", in_use=True)
            return dataclasses.replace(failed(plan, error), in_use=in_use)


def failed(plan: Plan, error: Exception) -> Outcome:
    """The outcome of a run that raised an error."""
    text = sentence(error)
    if not isinstance(error, ClbenchError):
        where = log_of(error)
        place = registry.place_in_plugin(error)
        if place:
            text += f" Raised at {place}."
        if where is not None:
            text += f" The traceback is in {where}."
        elif not place:
            text += " CLBENCH_DEBUG=1 shows where."
    code = error.exit_code if isinstance(error, ClbenchError) else 1
    return Outcome(plan, error=text, exit_code=code, traceback="".join(traceback.format_exception(error)))


def make_executor(name: str, layers: Sequence[Layer] = (), **common: Any) -> Executor:
    """The executor of a name with its own options, lowest layer first, and the common ones.

    Raises `UsageError` for an unknown name or option, and if a package that it needs is not installed.
    """
    try:
        kind: type[Executor] = registry.executors.get(name)
    except ClbenchError as error:
        if isinstance(error.__cause__, ModuleNotFoundError):
            raise UsageError(f"{error} Install that, or choose another --executor.") from error
        raise
    for module, package in kind.requires.items():
        if importlib.util.find_spec(module) is None:
            raise UsageError(f"Executor '{name}' needs the package {module}: pip install '{package}'.")
    for key in [key for _, options in layers for key in options]:
        if key in COMMON:
            raise UsageError(f"{key} is no option of executor '{name}'; use --{key.replace('_', '-')}.")
    made, _ = resolve(kind, [(DEFAULT, common), *layers], prefix="executor.")
    return made


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
