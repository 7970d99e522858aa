"""What a Ray cluster executes: the task of one run, and the actor that holds what the runs say until they are asked."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import pickle
import platform
from collections import Counter, deque
from collections.abc import Mapping
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cl.executors import worker
from cl.executors.base import Executor, Outcome
from cl.files import write_bytes
from cl.paths import home
from cl.plan.plan import Plan
from cl.records.record import RECORD
from cl.running.existing import CHECKPOINT
from cl.running.folder import LOG

KEPT_LINES = 20
"""Lines per run that wait to be asked for; of more, the last ones are kept."""
_PATIENCE = 30.0
"""Seconds that a task waits for the board before it starts without one."""

log = logging.getLogger("clbench")


class Board:
    """Holds what the runs of a grid said since the driver last asked, at most `KEPT_LINES` lines of each."""

    def __init__(self) -> None:
        self._attempts: Counter[int] = Counter()
        self._begun: list[int] = []
        self._lines: dict[int, deque[str]] = {}

    def begin(self, index: int) -> int:
        """A task begins to execute run `index`; returns how often that has happened."""
        self._attempts[index] += 1
        self._begun.append(index)
        return self._attempts[index]

    def say(self, index: int, text: str) -> None:
        """A line of a run."""
        self._lines.setdefault(index, deque(maxlen=KEPT_LINES)).append(text)

    def take(self) -> tuple[list[int], dict[int, list[str]]]:
        """The runs that began and the lines that were said since the last call."""
        begun, lines = self._begun, {index: list(texts) for index, texts in self._lines.items()}
        self._begun, self._lines = [], {}
        return begun, lines


@dataclass(frozen=True)
class Task:
    """One run as it is sent to a node: the plan as a pickle, so that a node that cannot read it says which it is."""

    index: int
    plan: bytes
    title: str
    how: Executor
    shared: bool
    environment: Mapping[str, str]
    workdir: str


@dataclass(frozen=True)
class Answer:
    """What a task returns: the outcome, or why there is none, and the files of a run whose folder is not shared."""

    node: str
    outcome: Outcome | None = None
    error: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def work(task: Task, board: Any) -> Answer:
    """Execute a run in this process, which Ray started for it alone; `board` is the handle of a `Board`."""
    node = platform.node()
    os.environ.update(task.environment)
    if task.shared:
        with contextlib.suppress(OSError):  # relative paths mean the same as where the grid was started
            os.chdir(task.workdir)
    try:
        plan: Plan = pickle.loads(task.plan)
    except Exception as error:  # its class is not installed there
        why = f"{type(error).__name__}: {error}"
        return Answer(node, error=f"node {node} cannot read this run ({why}); install what defines it on every node.")
    if not task.shared:
        plan = dataclasses.replace(plan, results=home() / "ray", at=None)
    perform = worker.perform if _begin(board, task.index) == 1 else worker.perform_again
    outcome = perform(plan, task.how, lambda text: _say(board, task.index, text))
    return Answer(node, worker.without_record(outcome), files={} if task.shared else files_of(plan, outcome))


def _begin(board: Any, index: int) -> int:
    """How often this run has begun; 0 if the board does not answer.

    It waits by a future: while a task waits by `ray.get`, Ray lends its CPUs to another task.
    """
    import ray

    try:
        return int(board.begin.remote(index).future().result(timeout=_PATIENCE))
    except (ray.exceptions.RayError, TimeoutError, futures.TimeoutError) as error:  # the runs do not depend on it
        log.info("The progress of this run is not shown: %s", error)
        return 0


def _say(board: Any, index: int, text: str) -> None:
    """Send a line without waiting for it to arrive."""
    board.say.remote(index, text)


def files_of(plan: Plan, outcome: Outcome) -> dict[str, bytes]:
    """The files of a complete run, by their path in its folder; of another, its log. Not the checkpoint."""
    folder = plan.folder
    if outcome.result is None:
        return {LOG: (folder / LOG).read_bytes()} if (folder / LOG).is_file() else {}
    return {
        name.as_posix(): (folder / name).read_bytes()
        for name in sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        if name.parts[0] != CHECKPOINT and not any(part.startswith(".") for part in name.parts)
    }


def keep_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a run to a folder that this process holds, the record last: a record says that all is there.

    Raises `StorageError`.
    """
    for name in sorted(files, key=lambda name: name == RECORD):
        write_bytes(folder / name, files[name])
