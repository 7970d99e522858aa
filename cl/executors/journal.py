"""The journal of a sweep: one line per attempt at a run, below the results folder.

A run that failed before it had a record, for want of data or by a wrong option, leaves its sentence here, and every
run its time.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from cl.executors.base import Outcome
from cl.files import make_folder, storage_error
from cl.plan.plan import Plan, safe_name

FOLDER = "sweeps"


@dataclass(frozen=True)
class Attempt:
    """One attempt at a run: its folder (`key_of`), when and where, and how it ended.

    `ended` is complete, failed, interrupted or skipped. `threads`: the CPU threads that it was given, if that was said.
    """

    folder: str
    ended: str
    exit_code: int = 0
    error: str = ""
    seconds: float = 0.0
    when: str = ""
    host: str = ""
    threads: int | None = None


def key_of(plan: Plan) -> str:
    """The folder of a run below its results folder, which other machines may see at another place."""
    return plan.folder.relative_to(plan.results).as_posix()


class Journal:
    """The journal of a sweep called `name`; several machines may write it at the same time."""

    def __init__(self, results: Path, name: str) -> None:
        self.path = results / FOLDER / f"{safe_name(name)}.jsonl"

    def add(self, outcome: Outcome, seconds: float, threads: int | None = None) -> None:
        """Note how a run ended; a run that was complete already is no attempt."""
        if outcome.result is not None and not outcome.result.executed:
            return
        attempt = Attempt(
            key_of(outcome.plan), ended(outcome), outcome.exit_code, outcome.error, round(seconds, 3),
            datetime.now(timezone.utc).isoformat(timespec="seconds"), socket.gethostname(), threads,
        )  # fmt: skip
        make_folder(self.path.parent)
        line = json.dumps(asdict(attempt), sort_keys=True) + "\n"
        try:
            with open(self.path, "a", encoding="utf-8") as file:  # one write of one line: others may append
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise storage_error(self.path, error) from error

    def last(self) -> Mapping[str, Attempt]:
        """The last attempt at every run, by `key_of`; a line that was cut off is left out."""
        found: dict[str, Attempt] = {}
        if not self.path.is_file():
            return found
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                attempt = Attempt(**json.loads(line))
            except (ValueError, TypeError):
                continue
            found[attempt.folder] = attempt
        return found


def ended(outcome: Outcome) -> str:
    """How a run ended, in a word."""
    from cl.errors import INTERRUPTED

    if outcome.skipped:
        return "skipped"
    if outcome.exit_code == INTERRUPTED:
        return "interrupted"
    return "failed" if outcome.error else "complete"
