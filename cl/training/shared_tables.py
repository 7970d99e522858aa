"""Tables of memoised features that the runs of one process share.

Does not import torch, because a grid whose runs are complete needs none.
"""

from __future__ import annotations

from typing import Any, Protocol

SHARED_MEMORY = 2**30
"""Upper bound, in bytes, of features kept between the runs of a process when a new table is made."""


class Table(Protocol):
    """A table of `cl.training.encodings`."""

    @property
    def nbytes(self) -> int: ...


class SharedTables:
    """Tables of pristine extractors that runs of one process share, so that only the first run reads their files.

    When a new table is made, the least recently used tables are evicted until the rest holds at most `memory` bytes; a
    run that still uses an evicted table keeps it to its end.
    """

    def __init__(self, memory: int = SHARED_MEMORY) -> None:
        self.memory = memory
        self._tables: dict[tuple[str, ...], Table] = {}

    def get(self, key: tuple[str, ...]) -> Any:
        """The table of a key, which counts as the most recently used; None if there is none."""
        if (table := self._tables.pop(key, None)) is not None:
            self._tables[key] = table
        return table

    def put(self, key: tuple[str, ...], table: Table) -> None:
        """Add a new table, and evict others."""
        while sum(each.nbytes for each in self._tables.values()) > self.memory:
            del self._tables[next(iter(self._tables))]
        self._tables[key] = table
