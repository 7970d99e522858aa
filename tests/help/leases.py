"""Leases that other processes hold, of this machine and of others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cl.leases import here, lease

ELSEWHERE: dict[str, Any] = {"host": "elsewhere", "machine": "another boot"}


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lease as another process of this machine does: leases exclude threads as they exclude processes."""
    with lease(path):
        yield


def leave(path: Path, number: int = 1, **about: Any) -> Path:
    """The file of a lease that a process left, by default one of this machine that is gone."""
    file = path.with_name(f"{path.name}.{number}")
    host, machine = here()
    known = {"host": host, "machine": machine, "pid": 2**22 + 1, "started": "1", "since": "then", "token": "t"}
    file.write_bytes(json.dumps(known | about).encode() + b"\n%020d\n" % 7)
    return file
