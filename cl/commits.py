"""Commits to a folder that this process holds: refused once another does, repeated while its disk is away."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cl.errors import StorageError

OUTAGE = 300.0
"""Seconds for which a commit is tried again while its disk is away."""

_NAMES = (
    *("ESTALE", "EIO", "ETIMEDOUT", "ENOTCONN", "ENXIO", "ENODEV", "EREMOTEIO"),
    *("EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ECONNRESET", "ECONNABORTED"),
)
AWAY = frozenset(getattr(errno, name) for name in _NAMES if hasattr(errno, name))
"""Errors of a disk that may come back."""


@dataclass(eq=False)
class Guard:
    """A folder that this process holds: `check` raises if it no longer does, `tell` gets one line about an outage."""

    folder: Path
    check: Callable[[], None]
    tell: Callable[[str], None]
    given_up: bool = False

    def is_away(self, error: OSError) -> bool:
        """Whether an error says that the disk is away: an error of the disk, or its folder is not there."""
        return error.errno in AWAY or (error.errno == errno.ENOENT and not os.path.isdir(self.folder))

    def lost(self, error: OSError) -> StorageError:
        reason = "its folder is gone" if error.errno == errno.ENOENT else error.strerror
        return StorageError(
            f"{self.folder} could not be reached for {OUTAGE / 60:.0f} minutes ({reason}); once it is back, the same "
            "command continues from the last checkpoint."
        )


_GUARDS: list[Guard] = []


@contextmanager
def guarded(folder: Path, check: Callable[[], None], tell: Callable[[str], None]) -> Iterator[None]:
    """Within a `with` block, commits to files in `folder` call `check` first, and outlast an outage of its disk."""
    guard = Guard(Path(os.path.abspath(folder)), check, tell)
    _GUARDS.append(guard)
    try:
        yield
    finally:
        _GUARDS.remove(guard)


def guard_of(path: Path) -> Guard | None:
    """The guard of the folder that holds a file."""
    if not _GUARDS:
        return None
    folders = Path(os.path.abspath(path)).parents
    return next((guard for guard in reversed(_GUARDS) if guard.folder in folders), None)


def commit(path: Path, action: Callable[[Guard | None], None]) -> None:
    """Do what changes a file, which can be repeated from its start; `action` gets the guard of the file's folder.

    Raises `RunInUse` if another process took the folder over, `StorageError` if its disk was away for `OUTAGE` seconds,
    and any other `OSError` of the action.
    """
    guard = guard_of(path)
    if guard is None:
        action(None)
        return
    begin, pause, told = time.monotonic(), 0.1, False
    while True:
        try:
            guard.check()
            action(guard)
            break
        except OSError as error:
            if not guard.is_away(error):
                raise
            if guard.given_up or time.monotonic() - begin > OUTAGE:
                guard.given_up = True  # a second file need not wait as long again
                raise guard.lost(error) from error
            if not told:
                guard.tell(
                    f"{guard.folder} cannot be reached ({error.strerror}); trying again for {OUTAGE / 60:.0f} minutes."
                )
            told = True
        time.sleep(pause)
        pause = min(2 * pause, 10.0)
    if told:
        guard.tell(f"{guard.folder} is back; the run goes on.")
