"""Checks of files from elsewhere, before they enter a results folder: names, sizes, structure and hashes.

Nothing is executed and nothing is unpickled. What a check refuses raises `Refused`, one sentence without control
characters.
"""

from __future__ import annotations

import json
import re
import struct
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cl.errors import ClbenchError, DataError, UsageError, printable
from cl.files import storage_error
from cl.plan.config_file import CONFIG
from cl.records.predictions import PREDICTIONS, check_predictions
from cl.records.record import RECORD, Record, load
from cl.results.leaderboard.image_shares import most_bytes
from cl.results.merge import LEARNER, check_config

_MB = 1_000_000
LIMITS: Mapping[str, int] = {
    RECORD: 20 * _MB,
    PREDICTIONS: 500 * _MB,
    CONFIG: _MB,
    "inputs.json": 50 * _MB,
    "events.jsonl": 50 * _MB,
    "log.txt": 20 * _MB,
    "profile.json": _MB,
    LEARNER: 4000 * _MB,
}
"""The most bytes of a file of a run, by its name; other files are not taken."""

MOST_TOTAL = 20_000 * _MB
"""The most bytes of all files together, unless the user says otherwise."""

MOST_FILES = 500_000
MOST_MEMORY = 500 * _MB
"""The arrays of predictions may take this much memory; a check takes a few times as much, one at a time."""

_one_at_a_time = threading.Lock()

_LONGEST, _DEEPEST, _LONGEST_NAME = 200, 12, 100
_NAME = re.compile(r"[A-Za-z0-9_@+][A-Za-z0-9._@+-]*")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9]|conin\$|conout\$)(\.|$)", re.IGNORECASE)
_NOT_IN_LOGS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_DIRECTORY = 1 << 16
"""Bytes of the table of contents of an archive of predictions; each of its few arrays takes about a hundred."""


class Refused(ClbenchError):
    """A file from elsewhere is not taken."""


def check_place(path: str) -> None:
    """Raise `Refused` for a path of a file below a results folder that could lead elsewhere, or that no run has."""
    parts = path.split("/")
    if len(path) > _LONGEST or len(parts) > _DEEPEST:
        raise Refused(f"its path is longer than {_LONGEST} characters or {_DEEPEST} folders")
    for part in parts:
        if part in ("", ".", ".."):
            raise Refused("its path leads out of the folder or has an empty name")
        if _NAME.fullmatch(part) is None or part.endswith("."):
            raise Refused(f"its path has the name {part[:60]!a}, which no run has")
        if _RESERVED.match(part) or len(part) > _LONGEST_NAME:
            raise Refused(f"its path has the name '{part[:60]}', which is reserved or too long")
    if set(map(str.lower, parts[:-1])) & set(LIMITS):
        raise Refused("its path has a folder with the name of a file")


def check_record(path: Path) -> Record:
    """The record in a downloaded file, with the whole schema and both hashes checked; raises `Refused`."""
    try:
        record = load(path)
    except (DataError, UsageError) as error:
        raise Refused(_without(path, error)) from error
    if record["status"] == "complete" and record["schema_version"] != "1.0" and "rest_sha256" not in record:
        raise Refused("its record has no rest_sha256")
    return record


def check_files(folder: Path, record: Record) -> None:
    """Check every file in a downloaded run against its record; raises `Refused`. Escapes what a log may not hold.

    Raises `StorageError` if that cannot be written.
    """
    checks: Mapping[str, Callable[[Path, Record], None]] = {
        PREDICTIONS: _check_predictions,
        CONFIG: check_config,
        "inputs.json": _check_json,
        "profile.json": _check_json,
        "events.jsonl": _check_lines,
        "log.txt": _clean_log,
        LEARNER: _check_learner,
    }
    for name, check in checks.items():
        if (folder / name).is_file():
            try:
                check(folder / name, record)
            except (DataError, ValueError, RecursionError, MemoryError, OSError) as error:
                raise Refused(f"{name}: {_without(folder / name, error)}") from error


def _without(path: Path, error: BaseException) -> str:
    """The first words of an error about a downloaded file, without its temporary path."""
    text = printable(" ".join(str(error).split())).replace(str(path), path.name)
    return (text if len(text) <= 300 else f"{text[:300]}...").removesuffix(".") or type(error).__name__


def _check_predictions(path: Path, record: Record) -> None:
    digest = record["result"]["predictions_sha256"]
    if digest is None:
        raise DataError("the record has no predictions")
    _check_directory(path)
    with _one_at_a_time:
        check_predictions(path, digest, most=min(most_bytes(record["result"]), MOST_MEMORY))


def _check_directory(path: Path) -> None:
    """Raise `ValueError` for an archive with a large table of contents, which `zipfile` reads before all else."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        file.seek(max(0, size - _DIRECTORY - 22))
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise ValueError("it is no archive")
    if struct.unpack("<L", tail[at + 12 : at + 16])[0] > _DIRECTORY or tail[max(0, at - 20) : at].startswith(b"PK\6\7"):
        raise ValueError("its table of contents is too large")


def _check_json(path: Path, record: Record) -> None:
    json.loads(path.read_bytes())


def _check_lines(path: Path, record: Record) -> None:
    for line in path.read_bytes().splitlines():
        if not isinstance(json.loads(line), dict):
            raise ValueError("a line is no JSON object")


def _clean_log(path: Path, record: Record) -> None:
    """Escape control characters, which a terminal would obey."""
    text = path.read_bytes().decode(errors="backslashreplace")
    clean = _NOT_IN_LOGS.sub(lambda found: ascii(found[0])[1:-1], text)
    try:
        path.write_text(clean, encoding="utf-8", newline="\n")
    except OSError as error:
        raise storage_error(path, error) from error


def _check_learner(path: Path, record: Record) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            found: Any = file.keys()
            len(list(found))
    except SafetensorError as error:
        raise ValueError(str(error)) from error
