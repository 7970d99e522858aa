"""The files of a run in progress: the commit point after each event, and the journal of the task being learned."""

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
"""Writing checkpoints inside a task may take about this share of the time."""


@dataclass(frozen=True)
class Key:
    """Which journaled call this is: the n-th of its task, its kind (fit or compute) and its name."""

    task: int
    ordinal: int
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} (call {self.ordinal} of task {self.task})"


class Checkpoint:
    """Reads and writes one run's checkpoint folder.

    `event.safetensors` is the state after the last completed event; `entry-T-N.safetensors` the state after the
    N-th journaled call of task T; `partial.safetensors` a fit interrupted at a step. `every` is the number of seconds
    between writes inside a task; 0 writes at every opportunity. With `keep_setup` whatever `setup` (task -1) computes
    is written, for a learner that will be saved.
    """

    def __init__(self, folder: Path, every: float = 30.0, *, keep_setup: bool = False) -> None:
        self.folder, self.every, self.keep_setup = folder, every, keep_setup
        self._last, self._duration = time.monotonic(), 0.0
        remove_temporaries(folder)

    # ------------------------------------------------------------------------------------------------------ events

    def save_event(self, value: dict[str, Any]) -> None:
        """Commit: everything before this event is done. The journal of the task is no longer needed."""
        self._write(self.folder / "event.safetensors", value)
        for path in [*self.folder.glob("entry-[0-9]*.safetensors"), self.folder / "partial.safetensors"]:
            path.unlink(missing_ok=True)  # what setup() computed (task -1) is needed at every start

    def load_event(self) -> dict[str, Any] | None:
        """The last commit, or None for a run that has none."""
        path = self.folder / "event.safetensors"
        return state.load(path) if path.exists() else None

    def remove(self) -> None:
        """Delete the folder: the run is complete and its record written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    # ----------------------------------------------------------------------------------------------------- journal

    def due(self, task: int = 0) -> bool:
        """Whether it is time to write inside a task."""
        if self.keep_setup and task == -1:
            return True
        elapsed = time.monotonic() - self._last
        return self.every == 0 or (elapsed >= self.every and elapsed >= self._duration / SHARE)

    def save_entry(self, key: Key, value: dict[str, Any]) -> None:
        """Keep a finished call."""
        self._write(self._entry(key), {"key": asdict(key), **value})

    def load_entry(self, key: Key) -> dict[str, Any] | None:
        """The finished call at this place; raises `ContractError` if another one was journaled there."""
        path = self._entry(key)
        return _checked(state.load(path), key) if path.exists() else None

    def setup_entries(self) -> list[dict[str, Any]]:
        """What `setup` computed, in order, as far as it was written."""
        paths = self.folder.glob("entry--1-*.safetensors")
        return [state.load(path) for path in sorted(paths, key=lambda path: int(path.stem.rpartition("-")[2]))]

    def save_partial(self, key: Key, value: dict[str, Any]) -> None:
        """Keep a fit in the middle."""
        self._write(self.folder / "partial.safetensors", {"key": asdict(key), **value})

    def load_partial(self, key: Key) -> dict[str, Any] | None:
        """The interrupted fit, if it is this one."""
        path = self.folder / "partial.safetensors"
        if not path.exists():
            return None
        value = state.load(path)
        if (value["key"]["task"], value["key"]["ordinal"]) != (key.task, key.ordinal):
            return None  # an older fit, since finished
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
