"""Cache of bootstrap resamples, which otherwise take most of a leaderboard's time.

A result depends on the predictions of the run, the rule, the metric (its code too if it is a plugin's), the images of
its board and the resampling code.
All of these are in the key, so a cached result equals the one that would be computed, and none becomes stale.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np

from cl.code_hash import modules_sha256
from cl.paths import home
from cl.records.metrics import METRICS
from cl.results.leaderboard.entries import Run
from cl.results.leaderboard.image_shares import PREDICTIONS, image_shares
from cl.results.leaderboard.statistics import RESAMPLES, Floats, ImageShares, resample_images

log = logging.getLogger("clbench")
T = TypeVar("T")

FILE = "resamples.sqlite"
"""Name in the cache folder."""

_CODE = (
    "cl.results.leaderboard.resamples",
    "cl.results.leaderboard.statistics",
    "cl.results.leaderboard.image_shares",
    "cl.records.predictions",
    "cl.records.matrix",
    "cl.records.metric",
    "cl.records.metrics",
    "cl.records.plugin_metrics",
    "cl.records.count_metrics",
    "cl.records.later_metrics",
    "cl.records.formulas",
    "cl.records.answers",
)
_BATCH = 500


@dataclass(frozen=True)
class Asked:
    """A request for `metric` of one run under `rule`, one of the run's own rules."""

    run: Run
    rule: str
    metric: str

    @property
    def key(self) -> str:
        """The cache key: the predictions' hash, and the size and time of the file, which may have been replaced."""
        assert self.run.folder is not None
        status = (self.run.folder / PREDICTIONS).stat()
        parts = (self.run.result["predictions_sha256"], self.run.record["result_sha256"], status.st_size)
        what = (self.rule, self.metric, METRICS.code_of(self.metric))
        return _hash(json.dumps([*parts, status.st_mtime_ns, *what]).encode())

    def shares(self) -> ImageShares | None:
        return image_shares(self.run.result, self.run.folder, self.rule, self.metric)


def moves_of(asked: Sequence[Asked]) -> list[Floats | None]:
    """The change of each metric in every resample, [`RESAMPLES`], all with the same draws; None without predictions.

    If all runs have the same images, cached results are used and new ones are added to the cache.
    """
    keys = [each.key if each.run.has_predictions else None for each in asked]
    kept = _read([key for key in keys if key is not None])
    shares = [None if key is None or key in kept else each.shares() for key, each in zip(keys, asked, strict=True)]
    images = {key: found for key, (found, _) in kept.items()}
    images |= {key: _images(found) for key, found in zip(keys, shares, strict=True) if key and found is not None}
    if len(set(images.values())) > 1:  # draws cover all images of the board, so results depend on the board
        shares = [None if key is None else each.shares() for key, each in zip(keys, asked, strict=True)]
        return _drawn(shares)
    fresh = _drawn(shares)
    _write({key: (images[key], found) for key, found in zip(keys, fresh, strict=True) if key and found is not None})
    return [kept[key][1] if key in kept else found for key, found in zip(keys, fresh, strict=True)]


def _drawn(shares: Sequence[ImageShares | None]) -> list[Floats | None]:
    known = [found for found in shares if found is not None]
    columns = iter(resample_images(known).T) if known else iter(())
    return [None if found is None else np.ascontiguousarray(next(columns)) for found in shares]


def _images(run: ImageShares) -> str:
    """Hash of a run's test images and their classes, on which the draws depend."""
    order = np.argsort(run.ids, kind="stable")
    return _hash(np.stack([run.ids[order], run.classes[order]]).tobytes())


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# ------------------------------------------------------------------------------------------------------------ the file


@lru_cache(maxsize=1)
def _code() -> str:
    """Hash of the code that computes the cached results; another version finds nothing and clears the file."""
    return _hash(f"{np.__version__} {modules_sha256(_CODE)}".encode())


@contextmanager
def _opened() -> Iterator[sqlite3.Connection]:
    home().mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(home() / FILE)) as connection, connection:
        connection.execute(
            "create table if not exists moves (key text primary key, code text, images text, moves blob)"
        )
        yield connection


def _read(keys: Sequence[str]) -> dict[str, tuple[str, Floats]]:
    """The cached entries: by key, the hash of the images and the changes of the metric."""
    if not keys:
        return {}

    def read(connection: sqlite3.Connection) -> dict[str, tuple[str, Floats]]:
        found: dict[str, tuple[str, Floats]] = {}
        for start in range(0, len(keys), _BATCH):
            some = keys[start : start + _BATCH]
            marks = ", ".join("?" * len(some))
            query = f"select key, images, moves from moves where code = ? and key in ({marks})"
            for key, images, blob in connection.execute(query, [_code(), *some]):
                if len(blob) == 8 * RESAMPLES:
                    found[key] = images, np.frombuffer(blob, dtype="<f8")
        return found

    return _tried(read) or {}


def _write(entries: Mapping[str, tuple[str, Floats]]) -> None:
    """Add entries, and delete those of other versions of the code."""
    rows = [(key, _code(), images, moves.astype("<f8").tobytes()) for key, (images, moves) in entries.items()]

    def write(connection: sqlite3.Connection) -> None:
        connection.execute("delete from moves where code != ?", [_code()])
        connection.executemany("insert or replace into moves values (?, ?, ?, ?)", rows)

    if rows:
        _tried(write)


def _tried(act: Callable[[sqlite3.Connection], T]) -> T | None:
    """The result of `act`; None, with one warning, if the file cannot be used: everything can be computed again."""
    try:
        with _opened() as connection:
            return act(connection)
    except (sqlite3.Error, OSError) as error:
        _warn(str(error))
        return None


@lru_cache
def _warn(why: str) -> None:
    fix = "Delete it with `clbench cache clean resamples`, or set CLBENCH_HOME to a folder that can be written."
    log.warning("Intervals are resampled every time: %s cannot be used (%s). %s", home() / FILE, why, fix)
