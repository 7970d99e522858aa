"""A run in a process of its own: its progress, log messages and outcome go to the parent through a pipe."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, TextIO, cast

from cl.errors import INTERRUPTED, ClbenchError, DataError
from cl.executors.base import SKIP_RUNNING, Executor, Outcome, failed
from cl.plan.plan import Plan
from cl.progress.base import Observer
from cl.progress.displays import PlainProgress
from cl.records.record import RECORD, load
from cl.running.existing import complete_record

if TYPE_CHECKING:
    from collections.abc import Mapping

LEASE = 120.0
"""Seconds that a repeated run waits for the folder that its lost process held."""
VISIBLE_AFTER = 20.0
"""Seconds until a file that another machine wrote must be visible here; file systems of networks may be late."""
_AGAIN = 2.0
_CONTINUES = {"always": "only-missing", "never": "only-missing", "only-missing": "only-missing"}
_CONTINUES[SKIP_RUNNING] = SKIP_RUNNING


class Lines:
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


def display(stream: Lines, lines: bool) -> Observer:
    """Progress as lines, if they are wanted."""
    return PlainProgress(cast(TextIO, stream)) if lines else Observer()


def work(pipe: Connection, plan: Plan, how: Executor, environment: Mapping[str, str]) -> None:
    """Execute one plan and send its progress and its outcome through the pipe.

    `environment` is set before torch looks for devices.
    """
    os.environ.update(environment)
    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        outcome = perform(plan, how, pipe.send)
    except BrokenPipeError:  # the receiver has been killed
        return
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the outcome is sent in any case
    with contextlib.suppress(BrokenPipeError):
        pipe.send(outcome)
    pipe.close()


def perform(plan: Plan, how: Executor, say: Callable[[str], None]) -> Outcome:
    """Execute one plan in this process, which holds no other; `say` gets its lines. The outcome holds no learner."""
    lines = Lines(say)
    handler = logging.StreamHandler(cast(TextIO, lines))
    handler.setLevel(how.log_level)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    handler.addFilter(lambda record: record.exc_info is None)  # errors are reported once, by the outcome
    logger = logging.getLogger("clbench")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        set_threads(how.threads or 1)
        return how.one(plan, lambda _: display(lines, how.lines)).without_learner()
    except KeyboardInterrupt:
        return Outcome(plan, error="Interrupted.", exit_code=INTERRUPTED)
    finally:
        logger.removeHandler(handler)


def perform_again(plan: Plan, how: Executor, say: Callable[[str], None]) -> Outcome:
    """Continue a run whose process was lost, perhaps on another machine and a moment ago.

    Its folder may still be held by that process: a lock expires after about a minute, and `LEASE` seconds are waited.
    """
    until = time.monotonic() + LEASE
    while True:
        outcome = perform(plan, dataclasses.replace(how, existing=continued(plan, how.existing)), say)
        if not outcome.in_use or time.monotonic() >= until:
            return outcome
        time.sleep(_AGAIN)


def continued(plan: Plan, existing: str) -> str:
    """`existing` for a run that was begun with it before: a run that was to start over continues if it has begun to.

    A complete record may be the one that was to be replaced, so it is replaced.
    """
    try:
        return existing if existing == "always" and complete_record(plan.folder) is not None else _CONTINUES[existing]
    except ClbenchError:  # damaged
        return existing


def with_record(plan: Plan, outcome: Outcome, where: str) -> Outcome:
    """The outcome of a run that another machine executed, with its record, which is read from the results folder.

    Raises `DataError` if it is not there: then the machine that `where` names writes its results to another folder.
    """
    if outcome.result is None:
        return dataclasses.replace(outcome, plan=plan)
    path, until = plan.folder / RECORD, time.monotonic() + VISIBLE_AFTER
    while not path.is_file():
        if time.monotonic() > until:
            raise DataError(
                f"{where} has completed this run, but {path} is not here: its results folder is another one."
            )
        time.sleep(1.0)
    return dataclasses.replace(
        outcome, plan=plan, result=dataclasses.replace(outcome.result, record=load(path), folder=plan.folder)
    )


def without_record(outcome: Outcome) -> Outcome:
    """The outcome without the record, for a receiver that reads it from the results folder."""
    if outcome.result is None:
        return outcome
    return dataclasses.replace(outcome, result=dataclasses.replace(outcome.result, record={}))


def complete(plan: Plan, how: Executor, say: Callable[[str], None]) -> Outcome | None:
    """The outcome of a run that is complete already, without a process for it; None if there is something to do."""
    if how.existing not in ("only-missing", SKIP_RUNNING):
        return None
    try:
        if complete_record(plan.folder) is None:
            return None
    except ClbenchError as error:
        return failed(plan, error)
    return how.one(plan, lambda _: display(Lines(say), how.lines))


def set_threads(number: int) -> None:
    """Set the CPU threads of this process."""
    import torch

    torch.set_num_threads(number)


def stop(*_: object) -> None:
    """Handle SIGTERM as Ctrl-C, once: the run keeps its checkpoint."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end_with_parent() -> None:
    """Stop as after Ctrl-C if the parent process has been killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
