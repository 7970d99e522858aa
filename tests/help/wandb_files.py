"""Reads what W&B writes while it is offline: its library has no reader that needs no server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

BLOCK, HEADER, FILE_HEADER = 32768, 7, 7
FULL, LAST = 1, 4


def records(file: Path) -> list[Any]:
    """The messages of a `run-ID.wandb` file: LevelDB's log format, in blocks, after a header of seven bytes."""
    from wandb.proto import wandb_internal_pb2 as messages

    data, at, part, found = file.read_bytes(), FILE_HEADER, b"", []
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:  # no header fits into the rest of the block
            at += BLOCK - at % BLOCK
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        part += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (FULL, LAST):
            record = messages.Record()  # type: ignore[attr-defined, unused-ignore]
            record.ParseFromString(part)
            found.append(record)
            part = b""
    return found


def runs(folder: Path) -> list[Any]:
    """The run messages of all offline folders of a run, in order."""
    return [each.run for each in _all(folder) if each.WhichOneof("record_type") == "run"]


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Every curve in the offline folders of a run: its (step, value) in the order of writing."""
    found: dict[str, list[tuple[int, float]]] = {}
    rows = []
    for each in _all(folder):
        if each.WhichOneof("record_type") == "history":
            row = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in each.history.item}
            rows.append(row["_step"])
            axis = "step" if "step" in row else "experiences"
            (name,) = (key for key in row if key not in ("step", "experiences") and not key.startswith("_"))
            found.setdefault(name, []).append((row[axis], row[name]))
    assert rows == sorted(set(rows)), "rows of a run are numbered on"
    return found


def _all(folder: Path) -> list[Any]:
    import wandb

    wandb.teardown()  # its service may still write the end of a file after `finish`; wait until it has ended
    files = sorted((folder / "wandb").glob("offline-run-*/run-*.wandb"), key=lambda file: file.stat().st_mtime_ns)
    return [record for file in files for record in records(file)]
