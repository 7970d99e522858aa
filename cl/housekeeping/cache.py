"""The files that clbench keeps on disk apart from records, and their cleaning. All can be computed or fetched again.

Only files that clbench writes are recognised. Links, damaged and foreign files are listed as unknown and never deleted,
and neither are records and saved learners.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from cl.backbone.facts import FOLDER as FACTS
from cl.data.catalog import DATASETS
from cl.data.sources import TORCHVISION
from cl.errors import ClbenchError
from cl.housekeeping.datasets import in_data_path, tree_size
from cl.leases import LEASES, Held, is_lease, lease
from cl.plan.config_file import CONFIG
from cl.records.record import RECORD, load
from cl.results.index import INDEX
from cl.results.leaderboard.kept_boards import BOARDS
from cl.results.leaderboard.resamples import FILE as RESAMPLES
from cl.results.report.data import RUNS

CLEANABLE = ("features", "decoded", "resamples", "backbones", "downloads", "checkpoints", "leftovers")
KINDS = (*CLEANABLE, "learners", "unknown")
TITLES = {
    "features": "encodings of frozen backbones; computed again when needed",
    "decoded": "decoded images; decoded again when needed",
    "resamples": "bootstrap resamples, boards and an index of records, for leaderboards; computed again when needed",
    "backbones": "sizes and FLOPs of backbones, for --dry-run; measured again when needed",
    "downloads": "archives of datasets; downloaded again when needed",
    "checkpoints": "unfinished runs; without them they start from the beginning",
    "leftovers": "left by processes that were killed: temporary files, checkpoints of complete runs, locks alone",
    "learners": "trained learners (--save-learner); never cleaned",
    "unknown": "damaged or not ours; never touched",
}
_OF_LEADERBOARDS = (RESAMPLES, INDEX.name, BOARDS.name, RUNS.name)
LOCK = ".lock"
_CHECKPOINT = r"(event|event-before|kept-[0-9a-f]{32}|partial|entry-(-1|[0-9]+)-[0-9]+)\.safetensors|\..*\.tmp"
_TEMPORARY = r"\.(config\.toml|record\.json|predictions\.npz|events\.jsonl|learner\.safetensors)\..*\.tmp"
_BEING_WRITTEN = 3600.0
"""Age in seconds below which a temporary file without a lock counts as being written."""


@dataclass(frozen=True)
class Item:
    """One item on disk: `used` is the time of its last use, `lock` the lock that protects it while in use."""

    kind: str
    path: Path
    bytes: int
    files: int
    used: float
    lock: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """The outcome for an item: removed, in use, or failed with a reason."""

    item: Item
    state: str
    reason: str = ""


def inventory(home: Path, results: Path) -> list[Item]:
    """All items in the cache `home` and the results folder, in the order of `KINDS`."""
    found = [*_features(home / "features"), *_decoded(home / "decoded"), *_downloads(home / "data")]
    found += [*_resamples(home), *_backbones(home / FACTS)]
    known = ("features", "decoded", "data", *_OF_LEADERBOARDS, FACTS)
    found += [_item("unknown", path) for path in _entries(home) if path.name not in known]
    found += _of_runs(results)
    return sorted(found, key=lambda item: (KINDS.index(item.kind), item.path))


def choose(items: Iterable[Item], kinds: Iterable[str], older_than: float = 0.0) -> list[Item]:
    """The items of some cleanable kinds that were not used for `older_than` seconds."""
    wanted, limit = set(kinds) & set(CLEANABLE), time.time() - older_than
    return [item for item in items if item.kind in wanted and (not older_than or item.used < limit)]


def clean(items: Iterable[Item]) -> list[Outcome]:
    """Delete items; locked items and items without permission are kept and reported."""
    outcomes = []
    for item in items:
        try:
            with lease(item.lock, wait=False) if item.lock is not None else nullcontext():
                shutil.rmtree(item.path) if item.path.is_dir() else item.path.unlink(missing_ok=True)
            outcomes.append(Outcome(item, "removed"))
        except Held:
            outcomes.append(Outcome(item, "in use"))
        except OSError as error:
            outcomes.append(Outcome(item, "failed", error.strerror or str(error)))
    return outcomes


def _item(kind: str, path: Path, lock: Path | None = None) -> Item:
    return Item(kind, path, *tree_size(path), lock)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _features(root: Path) -> Iterator[Item]:
    """features/<24 hex digits>/<time>-<process>.safetensors, and leases/<group>.<number> while features are computed.

    Versions up to 0.2.0 left .<group>.lock.
    """
    for folder in _entries(root):
        if folder.is_symlink() or not folder.is_dir() or not re.fullmatch("[0-9a-f]{24}", folder.name):
            yield _item("unknown", folder)
            continue
        inside = {path: _is_feature_file(path) for path in _entries(folder)}
        if all(inside.values()):
            yield _item("features", folder)
            continue
        for path, known in inside.items():
            yield _item("features" if known else "unknown", path)


def _is_feature_file(path: Path) -> bool:
    if path.name == LEASES and path.is_dir() and not path.is_symlink():
        return all(re.fullmatch(r"[0-9]+\.[0-9]+", inside.name) and inside.is_file() for inside in _entries(path))
    if path.is_symlink() or not path.is_file():
        return False
    if re.fullmatch(r"\.[0-9]+-[0-9]+\.safetensors\..*\.tmp", path.name):  # left by a kill, or being written now
        return time.time() - path.stat().st_mtime > _BEING_WRITTEN
    if re.fullmatch(r"\.[0-9]+\.lock", path.name):
        return True
    return re.fullmatch(r"[0-9]+-[0-9]+\.safetensors", path.name) is not None and _is_safetensors(path)


def _peek(path: Path, count: int) -> bytes:
    """The first bytes of a file, read without changing its time of last use."""
    status = path.stat()
    with open(path, "rb") as file:
        data = file.read(count)
    with suppress(OSError):
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return data


def _is_safetensors(path: Path) -> bool:
    """Whether the header is complete and the file has the length it states; reads no tensor."""
    try:
        size = path.stat().st_size
        length = int.from_bytes(_peek(path, 8), "little")
        header = json.loads(_peek(path, 8 + length)[8:]) if length <= size - 8 else {}
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        return bool(header) and size == 8 + length + max(ends, default=0)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, IndexError):
        return False


def _decoded(root: Path) -> Iterator[Item]:
    """decoded/<64 hex digits>/, its lock next to it, and .<64 hex digits>.tmp while it is written."""
    for path in _entries(root):
        name = re.fullmatch(r"\.?([0-9a-f]{64})(\.lock(?:\.[0-9]+)?|\.tmp)?", path.name)
        if name is None or path.is_symlink():
            yield _item("unknown", path)
        elif not (name[2] or "").startswith(".lock"):
            temporary = path.name.startswith(".") and name[2] == ".tmp"
            known = path.is_dir() and (temporary or _is_decoded(path))
            yield _item("decoded" if known else "unknown", path, root / f"{name[1]}.lock")


def _is_decoded(folder: Path) -> bool:
    names = {path.name for path in _entries(folder)}
    try:
        meta = json.loads(_peek(folder / "meta.json", 1 << 16))
        if "joined" in meta:  # the order of images of other folders (`cl.data.joined_pixels`)
            return names == {"meta.json", "order.npy"}
        if "damaged" in meta:  # images that were skipped (`cl.data.damaged`)
            return names == {"meta.json", "damaged.json"}
        shape = meta["shape"]
        header = (folder / "pixels.npy").stat().st_size - math.prod(map(int, shape))
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return names - {"order.npy", "hashes.npy"} == {"meta.json", "pixels.npy", "labels.npy"} and 0 < header < 4096


def _resamples(home: Path) -> Iterator[Item]:
    """The files of leaderboards and reports, even if damaged."""
    for path in (home / name for name in _OF_LEADERBOARDS):
        if path.is_symlink() or path.exists():
            yield _item("resamples" if path.is_file() and not path.is_symlink() else "unknown", path)


def _backbones(root: Path) -> Iterator[Item]:
    """backbones/<64 hex digits>.json, and temporary files of killed processes."""
    for path in _entries(root):
        temporary = re.fullmatch(r"\.[0-9a-f]{64}\.json\..*\.tmp", path.name)
        ours = temporary is not None or re.fullmatch(r"[0-9a-f]{64}\.json", path.name) is not None
        yield _item("backbones" if ours and path.is_file() and not path.is_symlink() else "unknown", path)


def _downloads(root: Path) -> Iterator[Item]:
    """Archives of known datasets with their checksums, partial downloads, and torchvision's folder."""
    known = {file.name for declared in DATASETS.values() for file in declared.archives}
    for path in _entries(root):
        if path.name == TORCHVISION and path.is_dir() and not path.is_symlink() and not in_data_path(path):
            yield _item("downloads", path)
            continue
        name = re.sub(r"\.(part|sha256|lock(\.[0-9]+)?)$", "", path.name)
        if name in known and path.name.startswith(f"{name}.lock"):
            continue
        ours = name in known and path.is_file() and not path.is_symlink() and not in_data_path(path)
        yield _item("downloads" if ours else "unknown", path, root / f"{name}.lock" if ours else None)


def _is_complete(folder: Path) -> bool:
    """Whether the record of a run is complete and sound, so that its checkpoint is of no use."""
    try:
        return bool(load(folder / RECORD, trust_hash=True)["status"] == "complete")
    except ClbenchError:
        return False


def _of_runs(results: Path) -> Iterator[Item]:
    """Checkpoints, leftovers and learners in run folders, which hold a config.toml.

    Of other folders only those are listed that hold nothing but the lock of a run that never began.
    """
    for where, folders, files in os.walk(results):
        folder = Path(where)
        lock = folder / LOCK
        alone = [name for name in files if name == LOCK or is_lease(name, LOCK)]  # LOCK: up to version 0.2.0
        if alone == files and not folders:
            yield from (_item("leftovers", folder / name, lock) for name in files if not (folder / name).is_symlink())
        if CONFIG not in files:
            continue
        checkpoint = folder / "checkpoint"
        if "checkpoint" in folders and not checkpoint.is_symlink():
            ours = all(re.fullmatch(_CHECKPOINT, path.name) and path.is_file() for path in _entries(checkpoint))
            kind = "unknown" if not ours else "leftovers" if _is_complete(folder) else "checkpoints"
            yield _item(kind, checkpoint, lock if ours else None)
        for name in files:
            if re.fullmatch(_TEMPORARY, name) and not (folder / name).is_symlink():
                yield _item("leftovers", folder / name, lock)
        for name in files:
            if name == "learner.safetensors" or (name.startswith("learner-after-") and name.endswith(".safetensors")):
                yield _item("learners", folder / name)
