"""What a run tells its loggers: the progress display passes through here, losses and records are picked up."""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl import registry
from cl.loggers import FAILURES, Logger
from cl.progress.base import Progress
from cl.records.record import RECORD, accuracy_rows
from cl.training.generators import global_state, set_global_state

if TYPE_CHECKING:
    from cl.plan.plan import Plan

POINTS = 200
"""Losses that are passed on per phase, about."""

log = logging.getLogger("clbench")


@contextlib.contextmanager
def feed(plan: Plan, progress: Progress) -> Iterator[Progress]:
    """A progress display that the loggers of a plan listen to while its run lasts."""
    if not plan.loggers:
        yield progress
        return
    run = {name: getattr(plan, name) for name in ("folder", "title", "strategy", "stream", "backbone", "seeds")}
    run["options"] = {key: setting["value"] for key, setting in plan.config().items()}
    listened = Feed(plan.loggers, run, progress)
    status = "failed"
    try:
        yield listened
        status = "complete"
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        listened.tell(lambda logger: logger.close(status))


class Feed:
    """The display given, and loggers that hear what it shows; a logger that fails is dropped, the run never is."""

    def __init__(self, names: Sequence[str], run: Mapping[str, Any], progress: Progress) -> None:
        self._progress, self._record = progress, Path(run["folder"]) / RECORD
        self._loggers: dict[str, Logger] = {}
        self._task, self._times = -1, Counter[str]()
        self._name, self._step, self._every, self._due = "", 0, 1, 0
        for name in names:
            self._guarded(name, partial(self._start, name, copy.deepcopy(run)))

    def _start(self, name: str, run: Mapping[str, Any]) -> None:
        logger = registry.loggers.get(name)()
        logger.start(run)
        self._loggers[name] = logger

    def tell(self, call: Callable[[Logger], None]) -> None:
        """Call every logger that still works."""
        for name, logger in list(self._loggers.items()):
            self._guarded(name, partial(call, logger))

    def _guarded(self, name: str, call: Callable[[], None]) -> None:
        random = global_state()  # a logger that draws must not change what dropout draws next
        try:
            call()
        except FAILURES as error:
            self._loggers.pop(name, None)
            _warn(f"logger '{name}' failed and is off; the run goes on ({type(error).__name__}: {error}).")
        finally:
            set_global_state(random)

    # ------------------------------------------------------------------------------------------ what a run reports

    def task(self, index: int, total: int, name: str) -> None:
        self._task, self._times = index, Counter()
        self._progress.task(index, total, name)

    def phase(self, name: str, total_steps: int, done: int = 0) -> None:
        self._times[name] += 1
        again = f" {self._times[name]}" if self._times[name] > 1 else ""
        self._name = f"loss/{f'task {self._task}' if self._task >= 0 else 'setup'}/{name}{again}"
        self._step, self._every = done, max(1, total_steps // POINTS)
        self._due = -(-done // self._every) * self._every
        self._progress.phase(name, total_steps, done)

    def advance(self, n: int = 1, loss: float | None = None) -> None:
        if loss is not None and self._step >= self._due:
            self._scalar(self._name, loss, self._step)
            self._due = (self._step // self._every + 1) * self._every
        self._step += 1
        self._progress.advance(n, loss)

    def end_phase(self) -> None:
        self._progress.end_phase()

    def message(self, text: str) -> None:
        self._progress.message(text)

    def data(self, what: str, done: int, total: int) -> None:
        self._progress.data(what, done, total)

    def event(self, index: int, total: int, text: str) -> None:
        self._progress.event(index, total, text)
        if not self._loggers:
            return
        with contextlib.suppress(OSError, ValueError):  # the next event finds the record again
            written = self._record.read_text(encoding="utf-8")
            rows = json.loads(written)["result"]["rows"]
            if rows and rows[-1]["event"] == index:
                self._evaluated(written)

    def _evaluated(self, written: str) -> None:
        record = json.loads(written)
        result, last = record["result"], record["result"]["rows"][-1]
        learned = 0 if last["task"] is None else last["task"] + 1
        for cell in accuracy_rows(record):
            if cell["event"] == last["event"] and cell["accuracy"] is not None:
                self._scalar(f"accuracy/{cell['rule']}/{cell['group_name']}", cell["accuracy"], learned)
        for rule, values in result["metrics"].items():
            for name, value in values.items():
                if value is not None:
                    self._scalar(f"metrics/{rule}/{name}", value, learned)
        self.tell(lambda logger: logger.evaluated(json.loads(written)))  # a copy each: they may write to it

    def _scalar(self, name: str, value: float, step: int) -> None:
        self.tell(lambda logger: logger.scalar(name, value, step))


def _warn(text: str) -> None:
    log.warning(text)
    if not log.root.handlers and all(isinstance(handler, logging.FileHandler) for handler in log.handlers):
        print(f"WARNING {text}", file=sys.stderr)  # nobody set up logging: the file of the run alone is too quiet
