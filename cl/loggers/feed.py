"""Reports of a run to its loggers: losses during training, accuracies and the record after each evaluation."""

from __future__ import annotations

import contextlib
import copy
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from cl import registry
from cl.loggers import FAILURES, Logger
from cl.progress.base import Observer
from cl.records.record import accuracy_rows
from cl.training.generators import global_state, set_global_state

POINTS = 200
"""Approximate number of losses reported per phase."""

log = logging.getLogger("clbench")


@contextlib.contextmanager
def hearing(names: Sequence[str], run: Mapping[str, Any]) -> Iterator[list[Observer]]:
    """Within a `with` block, observers that report the run to the named loggers; empty without names.

    `run` is the argument of `Logger.start`.
    """
    if not names:
        yield []
        return
    feed = Feed(names, run)
    status = "failed"
    try:
        yield [feed]
        status = "complete"
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        feed.close(status)


class Feed(Observer):
    """Reports a run to its loggers; a failing logger is dropped, and the run continues."""

    def __init__(self, names: Sequence[str], run: Mapping[str, Any]) -> None:
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
        random = global_state()  # a logger that draws must not change the next draw of dropout
        try:
            call()
        except FAILURES as error:
            self._loggers.pop(name, None)
            _warn(f"logger '{name}' failed and is disabled; the run continues ({type(error).__name__}: {error}).")
        finally:
            set_global_state(random)

    # -------------------------------------------------------------------------------------------- reports of a run

    def task(self, index: int, total: int, name: str) -> None:
        self._task, self._times = index, Counter()

    def phase(self, name: str, total_steps: int, done: int = 0) -> None:
        self._times[name] += 1
        again = f" {self._times[name]}" if self._times[name] > 1 else ""
        self._name = f"loss/{f'task {self._task}' if self._task >= 0 else 'setup'}/{name}{again}"
        self._step, self._every = done, max(1, total_steps // POINTS)
        self._due = -(-done // self._every) * self._every

    def advance(self, n: int = 1, loss: float | None = None) -> None:
        if loss is not None and self._step >= self._due:
            self._scalar(self._name, loss, self._step)
            self._due = (self._step // self._every + 1) * self._every
        self._step += 1

    def evaluated(self, record: Mapping[str, Any]) -> None:
        if not self._loggers:
            return
        result, last = record["result"], record["result"]["rows"][-1]
        learned = 0 if last["task"] is None else last["task"] + 1
        for cell in accuracy_rows(record):
            if cell["event"] == last["event"] and cell["accuracy"] is not None:
                self._scalar(f"accuracy/{cell['rule']}/{cell['group_name']}", cell["accuracy"], learned)
        for rule, values in result["metrics"].items():
            for name, value in values.items():
                if value is not None:
                    self._scalar(f"metrics/{rule}/{name}", value, learned)
        self.tell(lambda logger: logger.evaluated(copy.deepcopy(record)))  # loggers may change it

    def close(self, status: str) -> None:
        self.tell(lambda logger: logger.close(status))

    def _scalar(self, name: str, value: float, step: int) -> None:
        self.tell(lambda logger: logger.scalar(name, value, step))


def _warn(text: str) -> None:
    log.warning(text)
    if not log.root.handlers and all(isinstance(handler, logging.FileHandler) for handler in log.handlers):
        print(f"WARNING {text}", file=sys.stderr)  # logging is not configured: only the file of the run would get it
