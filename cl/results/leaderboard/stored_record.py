"""A record on disk whose numbers are read when they are asked for, and forgotten when they are not needed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cl.errors import DataError
from cl.records.record import parsed, read_bytes
from cl.results.leaderboard.entries import Run, Summary


class StoredRecord(dict[str, Any]):
    """A record that holds what its summary says, and reads its file when another key is asked for.

    Raises `DataError` if the file has changed since.
    """

    def __init__(self, path: Path, summary: Summary) -> None:
        self.path, self.content = path, summary.content
        names = ("status", "run_id", "result_sha256", "config_hash")
        super().__init__({name: getattr(summary, name) for name in names})
        self._summarised = frozenset(self)

    def __missing__(self, key: str) -> Any:
        data = read_bytes(self.path)
        if hashlib.sha256(data).hexdigest() != self.content:
            raise DataError(f"{self.path} was written while it was read; run the same command again.")
        read = parsed(data, self.path)  # checked by `load` when its summary was made
        self.update({name: value for name, value in read.items() if name not in self})
        if key not in self:
            raise KeyError(key)
        return self[key]

    def release(self) -> None:
        """Forget what was read from the file, to free its memory."""
        for key in [key for key in self if key not in self._summarised]:
            del self[key]


def release(runs: Iterable[Run]) -> None:
    """Forget what was read from the files of some runs; records in memory stay as they are."""
    for run in runs:
        if isinstance(run.record, StoredRecord):
            run.record.release()
