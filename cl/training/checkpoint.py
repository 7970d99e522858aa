"""The files of a run in progress: the state after each event, and the journal of the current task."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cl.errors import ContractError
from cl.files import remove_temporaries
from cl.training import state

SHARE = 0.02
"""Approximate upper bound of the share of time spent writing checkpoints within a task."""


@dataclass(frozen=True)
class Key:
    """Identity of a journaled call: its task, its number within the task, its kind (fit or compute) and its name."""

    task: int
    ordinal: int
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} (call {self.ordinal} of task {self.task})"


class Checkpoint:
    """Reads and writes the checkpoint folder of one run.

    `event.safetensors` is the state after the last completed event; `entry-T-N.safetensors` the state after the
    N-th journaled call of task T; `partial.safetensors` a fit interrupted at a step. `every` is the number of seconds
    between writes within a task; 0 writes at every opportunity. `keep_setup` writes all results of `setup` (task -1),
    for a learner that will be saved.
    """

    def __init__(self, folder: Path, every: float = 30.0, *, keep_setup: bool = False) -> None:
        self.folder, self.every, self.keep_setup = folder, every, keep_setup
        self._last, self._duration = time.monotonic(), 0.0
        remove_temporaries(folder)

    # ------------------------------------------------------------------------------------------------------ events

    def save_event(self, value: dict[str, Any]) -> None:
        """Commit the state after an event, and delete the journal of the task."""
        self._write(self.folder / "event.safetensors", value)
        for path in [*self.folder.glob("entry-[0-9]*.safetensors"), self.folder / "partial.safetensors"]:
            path.unlink(missing_ok=True)  # not the entries of setup() (task -1), which every start needs

    def load_event(self) -> dict[str, Any] | None:
        """The last committed state, or None."""
        path = self.folder / "event.safetensors"
        return state.load(path) if path.exists() else None

    def remove(self) -> None:
        """Delete the folder; for a run that is complete and recorded."""
        shutil.rmtree(self.folder, ignore_errors=True)

    # ----------------------------------------------------------------------------------------------------- journal

    def due(self, task: int = 0) -> bool:
        """Whether it is time to write within a task."""
        if self.keep_setup and task == -1:
            return True
        elapsed = time.monotonic() - self._last
        return self.every == 0 or (elapsed >= self.every and elapsed >= self._duration / SHARE)

    def save_entry(self, key: Key, value: dict[str, Any]) -> None:
        """Save a finished call."""
        self._write(self._entry(key), {"key": asdict(key), **value})

    def load_entry(self, key: Key) -> dict[str, Any] | None:
        """The finished call with this task and number; raises `ContractError` if another call was journaled there."""
        path = self._entry(key)
        return _checked(state.load(path), key) if path.exists() else None

    def setup_entries(self) -> list[dict[str, Any]]:
        """The saved calls of `setup`, in order."""
        paths = self.folder.glob("entry--1-*.safetensors")
        return [state.load(path) for path in sorted(paths, key=lambda path: int(path.stem.rpartition("-")[2]))]

    def save_partial(self, key: Key, value: dict[str, Any]) -> None:
        """Save an unfinished fit."""
        self._write(self.folder / "partial.safetensors", {"key": asdict(key), **value})

    def load_partial(self, key: Key) -> dict[str, Any] | None:
        """The unfinished fit, if it has this task and number."""
        path = self.folder / "partial.safetensors"
        if not path.exists():
            return None
        value = state.load(path)
        if (value["key"]["task"], value["key"]["ordinal"]) != (key.task, key.ordinal):
            return None  # an earlier fit, which has finished since
        return _checked(value, key)

    def _entry(self, key: Key) -> Path:
        return self.folder / f"entry-{key.task}-{key.ordinal}.safetensors"

    def _write(self, path: Path, value: dict[str, Any]) -> None:
        start = time.monotonic()
        state.save(path, value)
        self._last = time.monotonic()
        self._duration = self._last - start


def _checked(value: dict[str, Any], key: Key) -> dict[str, Any]:
    found = Key(**value["key"])
    if found != key:
        raise ContractError(
            f"the journal holds {found} where learn() now asks for {key}; the strategy's code changed, or its calls "
            "depend on something that is not in its state. Start over with --existing always."
        )
    return value
