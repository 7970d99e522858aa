"""A file of the cache that holds what can be computed again: a SQLite table of keys and checked values.

Several processes may read and write it at once. A row that is damaged, or was written by other code, counts as missing;
so does a file that cannot be used, with one warning.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from cl.paths import home

log = logging.getLogger("clbench")
T = TypeVar("T")

_BATCH = 500


@dataclass(frozen=True)
class CacheFile:
    """Values by key in `name` below the cache folder; of more than `most` rows the oldest are deleted."""

    name: str
    what: str
    """What takes longer without the file: "records are read"."""
    most: int

    def read(self, keys: Sequence[str], code: str) -> dict[str, bytes]:
        """The values that this code stored under some of the keys."""

        def read(connection: sqlite3.Connection) -> dict[str, bytes]:
            found: dict[str, bytes] = {}
            for start in range(0, len(keys), _BATCH):
                some = keys[start : start + _BATCH]
                marks = ", ".join("?" * len(some))
                query = f"select key, value, digest from kept where code = ? and key in ({marks})"
                rows = connection.execute(query, [code, *some])
                found |= {
                    key: value
                    for key, value, digest in rows
                    if isinstance(value, bytes) and digest == _digest(key, value)
                }
            return found

        return (self._tried(read) or {}) if keys and (home() / self.name).exists() else {}

    def write(self, values: Mapping[str, bytes], code: str) -> None:
        """Add values, and delete the oldest rows and those of other code."""
        rows = [(key, code, value, _digest(key, value)) for key, value in values.items()]

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("delete from kept where code != ?", [code])
            connection.executemany("insert or replace into kept values (?, ?, ?, ?)", rows)
            connection.execute("delete from kept where rowid <= (select max(rowid) from kept) - ?", [self.most])

        if rows:
            self._tried(write)

    def _tried(self, act: Callable[[sqlite3.Connection], T]) -> T | None:
        try:
            with _opened(home() / self.name) as connection:
                return act(connection)
        except (sqlite3.Error, OSError) as error:
            _warn(home() / self.name, self.what, str(error))
            return None


def _digest(key: str, value: bytes) -> bytes:
    """A checksum of a row."""
    return hashlib.blake2b(value, key=hashlib.blake2b(key.encode(), digest_size=16).digest(), digest_size=16).digest()


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("create table if not exists kept (key text primary key, code text, value blob, digest blob)")
        yield connection


@lru_cache
def _warn(file: Path, what: str, why: str) -> None:
    fix = "Delete it with `clbench cache clean resamples`, or set CLBENCH_HOME to a folder that can be written."
    log.warning("%s every time: %s cannot be used (%s). %s", what.capitalize(), file, why, fix)
