"""The files of a run in progress: the state after each event, and the journal of the current task."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from cl.errors import ContractError, DataError
from cl.files import remove_temporaries, storage_error
from cl.records.identity import RunIdentity
from cl.training import kept, state
from cl.training.kept import BEFORE, EVENT, Kept

log = logging.getLogger("clbench")

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

    `event.safetensors` is the state after the last completed event, `event-before.safetensors` the one before it;
    `entry-T-N.safetensors` the state after the N-th journaled call of task T; `partial.safetensors` a fit interrupted
    at a step. `every` is the number of seconds between writes within a task; 0 writes at every opportunity.
    `keep_setup` writes all results of `setup` (task -1), for a learner that will be saved. Every file holds `identity`,
    what the run reads. Large tensors of the last event are not written again: the files refer to them, also to those in
    `kept-ID.safetensors`, earlier events that are still needed (`cl.training.kept`). Results of `setup` are whole.

    Damaged files are removed with a warning: a call is computed again, and the run continues from the event before.
    """

    def __init__(
        self, folder: Path, every: float = 30.0, *, keep_setup: bool = False, identity: RunIdentity | None = None
    ) -> None:
        self.folder, self.every, self.keep_setup, self.identity = folder, every, keep_setup, identity
        self._last, self._duration = time.monotonic(), 0.0
        self._kept = Kept(folder)
        remove_temporaries(folder)

    # ------------------------------------------------------------------------------------------------------ events

    def save_event(self, value: dict[str, Any]) -> None:
        """Commit the state after an event, and delete the journal of the task."""
        path = self.folder / EVENT
        try:
            self._kept.set_aside()
            with contextlib.suppress(FileNotFoundError):
                os.replace(path, self.folder / BEFORE)
        except OSError as error:
            raise storage_error(path, error) from error
        self._write(path, "event", value)
        self._kept.follow(EVENT)
        self._kept.tidy()
        for path in [*self.folder.glob("entry-[0-9]*.safetensors"), self.folder / _PARTIAL]:
            path.unlink(missing_ok=True)  # not the entries of setup() (task -1), which every start needs

    def load_event(self) -> dict[str, Any] | None:
        """The last committed state, or None; raises `DataError` if none of the two is whole."""
        paths = [path for path in (self.folder / EVENT, self.folder / BEFORE) if path.exists()]
        for number, path in enumerate(paths):
            try:
                value = _load(path, "event", fix="start over with --existing always")
                self._kept.follow(path.name)
                return value
            except DataError as error:
                if number + 1 == len(paths):
                    raise
                log.warning("%s is damaged; the run continues from the checkpoint before it.", path)
                log.info("%s", error)
                path.unlink()  # otherwise the next commit would keep it in place of the whole one
        return None

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
        self._write(self._entry(key), "entry", {"key": asdict(key), **value})

    def load_entry(self, key: Key) -> dict[str, Any] | None:
        """The finished call with this task and number; raises `ContractError` if another call was journaled there."""
        value = _undamaged(self._entry(key), "entry")
        return None if value is None else _checked(value, key)

    def setup_entries(self) -> list[dict[str, Any]]:
        """The saved calls of `setup`, in order."""
        paths = self.folder.glob("entry--1-*.safetensors")
        return [state.load(path) for path in sorted(paths, key=lambda path: int(path.stem.rpartition("-")[2]))]

    def save_partial(self, key: Key, value: dict[str, Any]) -> None:
        """Save an unfinished fit."""
        self._write(self.folder / _PARTIAL, "partial", {"key": asdict(key), **value})

    def load_partial(self, key: Key) -> dict[str, Any] | None:
        """The unfinished fit, if it has this task and number."""
        value = _undamaged(self.folder / _PARTIAL, "partial")
        if value is None or (value["key"]["task"], value["key"]["ordinal"]) != (key.task, key.ordinal):
            return None  # none, or an earlier fit, which has finished since
        return _checked(value, key)

    def _entry(self, key: Key) -> Path:
        return self.folder / f"entry-{key.task}-{key.ordinal}.safetensors"

    def _write(self, path: Path, kind: str, value: dict[str, Any]) -> None:
        start = time.monotonic()
        about = {"kind": kind, "identity": None if self.identity is None else asdict(self.identity)}
        share = kept.SHARE if kind == "event" else 0.0  # the other files do not outlive the next event
        whole = path.name.startswith(_SETUP)  # for a learner that is saved, and for every later start
        state.save(path, {"about": about, **value}, refer=None if whole else partial(self._kept.refer, share=share))
        self._last = time.monotonic()
        self._duration = self._last - start


_PARTIAL, _SETUP = "partial.safetensors", "entry--1-"


def changed(folder: Path, identity: RunIdentity) -> str:
    """What a run read differently when it wrote a file of a checkpoint folder, as a sentence; empty if nothing.

    Files of version 0.1.0 do not say what the run read.
    """
    for path in sorted(folder.glob("*.safetensors")):
        if path.name.startswith("kept-"):
            continue  # of an earlier event
        try:
            then = state.peek(path).get("about", {}).get("identity")
            found = identity.changed_since(then) if then else ""
            if not found:
                continue
            state.load(path)
        except (DataError, AttributeError):
            continue  # damaged: handled where it is loaded
        when = datetime.fromtimestamp(path.stat().st_mtime).strftime("%Y-%m-%d %H:%M")
        return f"This run was stopped at {when}, and {found} since"
    return ""


def _load(path: Path, kind: str, **more: Any) -> dict[str, Any]:
    """The content of a file; raises `DataError` if it is damaged or of another kind."""
    value = dict(state.load(path, **more))
    about = value.pop("about", None)
    whole = about["kind"] == kind if about is not None else value.keys() >= _KEYS_OF_0_1_0[kind]
    if not whole:
        raise DataError(f"{path} is another file than its name says; delete it and run the same command again.")
    return value


_KEYS_OF_0_1_0 = {"event": {"strategy", "run"}, "entry": {"key"}, "partial": {"key"}}
"""Keys of files that do not say of which kind they are."""


def _undamaged(path: Path, kind: str) -> dict[str, Any] | None:
    """The content of a file of the journal; None if there is none or it is damaged: the call is then computed again."""
    if not path.exists():
        return None
    try:
        return _load(path, kind)
    except DataError as error:
        log.warning("%s is damaged; its work is done again.", path)
        log.info("%s", error)
        path.unlink()
        return None


def _checked(value: dict[str, Any], key: Key) -> dict[str, Any]:
    found = Key(**value["key"])
    if found != key:
        raise ContractError(
            f"the journal holds {found} where learn() now asks for {key}; the strategy's code changed, or its calls "
            "depend on something that is not in its state. Start over with --existing always."
        )
    return value
