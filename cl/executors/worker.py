"""A run in a process of its own: its progress, log messages and outcome go to the parent through a pipe."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, TextIO, cast

from cl.errors import INTERRUPTED
from cl.executors.base import Executor, Outcome
from cl.plan.plan import Plan
from cl.progress.base import Observer
from cl.progress.displays import PlainProgress

if TYPE_CHECKING:
    from collections.abc import Mapping


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
