"""Boards in the cache: the rows of a board whose runs are all as they were.

Rows are a function of the records, their predictions, the rule, the metric and the code. All are in the key: records by
the hash of their files, predictions by size, times and number of the file, code by the hash of its files. The metric of
a plugin enters with the hash of the plugin's code.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from cl.records.metrics import METRICS
from cl.results.leaderboard.cache_file import CacheFile
from cl.results.leaderboard.entries import Run
from cl.results.leaderboard.image_shares import PREDICTIONS

BOARDS = CacheFile("boards.sqlite", "boards are computed", most=2000)


@lru_cache
def files_sha256(*packages: str) -> str:
    """Hash of the files of some packages, and of the version of NumPy: values of other code are computed again."""
    digest = hashlib.sha256(np.__version__.encode())
    for package in packages:
        for file in sorted(resources.files(package).iterdir(), key=lambda file: file.name):
            if file.name.endswith((".py", ".toml", ".json")):
                digest.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def code() -> str:
    """Hash of the code of boards."""
    return files_sha256("cl.records", "cl.results.leaderboard")


def key_of(runs: Sequence[Run], rule: str, metric: str) -> str | None:
    """The key of a board; None if the file of a record is not known, as for records in memory."""
    digest = hashlib.sha256(orjson.dumps([rule, metric, METRICS.code_of(metric)]))
    for run in runs:
        if run.summary.content is None:
            return None
        digest.update(f"{run.summary.content} {_stamp_of_predictions(run.folder)}\n".encode())
    return digest.hexdigest()


def _stamp_of_predictions(folder: Path | None) -> str:
    return "" if folder is None else stamp(f"{folder}{os.sep}{PREDICTIONS}")


def stamp(path: str) -> str:
    """Size, times and number of a file, which change if it is written or replaced; empty if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def read_rows(keys: Iterable[str | None]) -> dict[str, list[dict[str, Any]]]:
    """The rows of the boards that are in the cache, by key."""
    found = BOARDS.read([key for key in keys if key is not None], code())
    return {key: orjson.loads(value) for key, value in found.items()}


def keep_rows(key: str | None, rows: Sequence[dict[str, Any]], runs: Iterable[Run]) -> None:
    """Add a board to the cache, unless predictions are damaged: those are named each time."""
    if key is not None and not any(run.has_damaged_predictions for run in runs):
        BOARDS.write({key: orjson.dumps(rows)}, code())
