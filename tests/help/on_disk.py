"""Records in folders, for tests of commands that read results."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cl.records.record import save


def write_records(folder: Path, records: Iterable[dict[str, Any]]) -> Path:
    """Save every record in a folder of its own below `folder`; returns `folder`."""
    for index, record in enumerate(records):
        save(record, folder / str(index) / "record.json")
    return folder
