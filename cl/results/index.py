"""An index of records in the cache: what decides on which boards a run is, without reading its record.

The key of an entry holds the path of the record, and the size, times and number of its file, so a record that was
written, replaced or restored is read again. A record enters the index after `cl.records.record.load` has checked it.
Its numbers are read from the file when a board needs them, and must still have the hash that the index states.
"""

from __future__ import annotations

import hashlib
import os
import time

import orjson

from cl.errors import DataError, UsageError, sentence
from cl.records.record import load, read_bytes
from cl.results.collecting import without_collecting
from cl.results.leaderboard.cache_file import CacheFile
from cl.results.leaderboard.entries import Run, Summary
from cl.results.leaderboard.kept_boards import code, stamp
from cl.results.leaderboard.stored_record import StoredRecord
from cl.results.store import LeftOut, Paths, search

INDEX = CacheFile("records.sqlite", "records are read", most=200_000)

SETTLED = 2.0
"""Seconds after which a file counts as written: until then another write may leave its size and times as they are."""


def indexed_runs(paths: Paths) -> tuple[list[Run], list[LeftOut]]:
    """Every run below some folders or files, and the records and folders that cannot be read.

    The records are `StoredRecord`s. Raises `UsageError` for a path that does not exist.
    """
    files, bad = search(paths)
    stamps = [stamp(str(file)) for file in files]
    keys = [f"{os.path.abspath(file)}\n{found}" for file, found in zip(files, stamps, strict=True)]
    known = INDEX.read(keys, code())
    runs: list[Run] = []
    fresh: dict[str, bytes] = {}
    newest = time.time_ns() - int(SETTLED * 1e9)
    with without_collecting():
        for file, mark, key in zip(files, stamps, keys, strict=True):
            if key in known:
                summary = _unpacked(known[key])
            else:
                try:
                    data = read_bytes(file)
                    record = load(file, trust_hash=True, data=data)
                except (DataError, UsageError) as error:
                    bad.append(LeftOut(file, sentence(error)))
                    continue
                summary = Summary.of(record, hashlib.sha256(data).hexdigest())
                if mark and max(map(int, mark.split()[1:3])) < newest:
                    fresh[key] = orjson.dumps(tuple(summary))
            runs.append(Run(StoredRecord(file, summary), file.parent, summary))
    INDEX.write(fresh, code())
    return runs, bad


def _unpacked(value: bytes) -> Summary:
    status, run_id, result_sha256, config_hash, board, rules, shown, content = orjson.loads(value)
    return Summary(status, run_id, result_sha256, config_hash, tuple(board), tuple(rules), shown, content)
