"""Merging of results folders: runs are copied into one folder, each as a whole, and none is overwritten.

A run is a folder with a record.json. Its place is its path below the results folder. If the place is taken by a run
with the same `result_sha256`, both are the same run; else they are in conflict, and the one that is there stays.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cl.errors import DataError, UsageError, sentence
from cl.files import make_folder, storage_error
from cl.plan.config_file import CONFIG
from cl.records.identity import RunIdentity
from cl.records.predictions import PREDICTIONS, check_predictions
from cl.records.record import RECORD, Record, config_hash, load
from cl.results.store import find_records

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LEARNER = "learner.safetensors"
FILES = (PREDICTIONS, CONFIG, "inputs.json", "events.jsonl", "log.txt", "profile.json", LEARNER, RECORD)
"""The files of a run that are copied, the record last: without it a folder is no run. Checkpoints are not copied."""

STAGING, LOCK = ".merging", ".merge.lock"
"""Below the target: the folder in which a copy is made before it is renamed, and the lock of the process that may."""

STATES = ("merged", "the same", "conflict", "unfinished", "refused")


@dataclass(frozen=True)
class Outcome:
    """What became of one run: one of `STATES`, its place, where it is from, and a sentence if it is not in the target.

    "merged" says "would be merged" with `dry_run`.
    """

    state: str
    place: str
    source: str
    reason: str = ""

    @property
    def failed(self) -> bool:
        return self.state in ("conflict", "refused")


def counts(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """Number of runs by state, all of `STATES`."""
    found = Counter(outcome.state for outcome in outcomes)
    return {state: found[state] for state in STATES}


def merge(folders: Sequence[Path], into: Path, *, partial: bool = False, dry_run: bool = False) -> Iterator[Outcome]:
    """Copy the runs below some folders into one; yields an outcome for each run.

    `partial`: also runs that are not complete. A run enters the target by one rename, after its copy was checked, so
    the same call continues a merge that was stopped. Raises `UsageError` for a folder that does not exist, is a run
    itself, or holds or is inside of the target; `StorageError` if the target cannot be written.
    """
    for folder in folders:
        check_source(folder, into)
    found = [(folder, file.parent) for folder in folders for file in find_records(folder)]
    with contextlib.nullcontext() if dry_run else exclusive(into):
        taken: dict[str, Path] = {}
        for folder, run in found:
            place = run.relative_to(folder).as_posix()
            yield _merged(run, place, into, taken, partial=partial, dry_run=dry_run)


def check_source(folder: Path, into: Path | None, other: str = "--into") -> None:
    """Raise `UsageError` for a folder that is a run itself, or that holds or is inside of the target.

    None: the target is on no disk of this machine. `other` names what a user is to choose again.
    """
    if (folder / RECORD).is_file():
        raise UsageError(f"{folder} is one run, and its place in a results folder is not known; name that folder.")
    if into is not None:
        check_apart(folder, into, other)


def check_apart(folder: Path, into: Path, other: str) -> None:
    """Raise `UsageError` if a folder is the target, holds it, or is inside of it."""
    source, target = folder.resolve(), into.resolve()
    if source == target or source in target.parents or target in source.parents:
        raise UsageError(f"{folder} and the target {into} are the same or inside each other; choose another {other}.")


def _merged(run: Path, place: str, into: Path, taken: dict[str, Path], *, partial: bool, dry_run: bool) -> Outcome:
    try:
        record = load(run / RECORD, trust_hash=True)
    except (DataError, UsageError) as error:
        return Outcome("refused", place, str(run), sentence(error))
    if record["status"] != "complete" and not partial:
        return Outcome("unfinished", place, str(run))
    there = taken.get(place, into / place)  # of a dry run, the run that would be there
    if (found := compared(record, run, there, place)) is not None:
        return found
    try:
        if dry_run:
            _check_whole(run, record, run)
        else:
            put(run, record, into, place)
    except DataError as error:
        return Outcome("refused", place, str(run), sentence(error))
    if dry_run:
        taken[place] = run
        return Outcome("merged", place, str(run))
    return compared(record, run, into / place, place, done="merged") or Outcome("merged", place, str(run))


def compared(record: Record, source: Path | str, there: Path, place: str, done: str = "the same") -> Outcome | None:
    """Whether a run is at its place in the target already, or is in conflict with what is there; None if it is free."""
    if not os.path.lexists(there):
        above = next((folder for folder in there.parents if os.path.lexists(folder)), there)
        if above.is_dir():
            return None
        return Outcome("conflict", place, str(source), f"{source} is not copied: {above} is in the way and no folder.")
    if not (there / RECORD).is_file():
        if there.is_dir() and not any(there.iterdir()):
            return None
        why = f"{there} exists and is no run with a record; move it away, then run the same command again."
        return Outcome("conflict", place, str(source), why)
    try:
        other = load(there / RECORD, trust_hash=True)
    except (DataError, UsageError) as error:
        return Outcome("conflict", place, str(source), f"{source} is not copied, because of the run there: {error}")
    if other["result_sha256"] == record["result_sha256"] and other["status"] == record["status"]:
        return Outcome(done, place, str(source))
    what = ", ".join(differences(record, other))
    why = (
        f"{source} and {there} are different runs: {what}. The second is kept; move one of them away to have the other."
    )
    return Outcome("conflict", place, str(source), why)


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What differs between two runs of one place, in words: configuration, code, data, environment, result."""
    found = []
    if one["status"] != other["status"]:
        found.append(f"the status ({one['status']}, {other['status']})")
    first, second = (vars(RunIdentity.of(config_hash(each), each["result"])) for each in (one, other))
    found += [words for name, words in _PARTS.items() if first[name] != second[name]]
    if one["result"]["strategy"]["version"] != other["result"]["strategy"]["version"]:
        found.append("the version of the strategy")
    if one["measurement"]["environment"] != other["measurement"]["environment"]:
        found.append("the environment")
    if one["result"]["accuracy"] != other["result"]["accuracy"]:
        found.append("the right answers")
    return found or ["other parts of the result"]


_PARTS = {
    "config": "the configuration",
    "seeds": "the seeds",
    "code": "the code of the strategy",
    "weights": "the weights",
    "inputs": "the preprocessing",
    "stream": "the stream or its images",
    "probe": "the images of the probe",
}


@contextlib.contextmanager
def exclusive(into: Path) -> Iterator[None]:
    """Make the target and lock it; raises `UsageError` if another process is merging into it.

    What a killed process left in the staging folder is deleted.
    """
    from cl.leases import Held, acquire

    try:
        held = acquire(make_folder(into) / LOCK, wait=False)
    except Held:
        raise UsageError(f"Another process is merging into {into}; wait for it, or choose another folder.") from None
    except OSError as error:
        raise storage_error(into / LOCK, error) from error
    try:
        shutil.rmtree(into / STAGING, ignore_errors=True)
        yield
    finally:
        shutil.rmtree(into / STAGING, ignore_errors=True)
        held.release()


def put(run: Path, record: Record, into: Path, place: str) -> None:
    """Copy a run to a free place of the target, inside `exclusive`.

    The copy is made in the staging folder, checked, and renamed. Raises `DataError`, which names the run, if its files
    are damaged or do not belong to the record, `StorageError` if the copy cannot be written.
    """
    staged = into / STAGING / "run"
    target = into / place
    try:
        shutil.rmtree(staged, ignore_errors=True)
        make_folder(staged)
        for name in FILES:
            if (run / name).is_file():
                shutil.copy2(run / name, staged / name)
        _check_whole(staged, record, run)
        for path in staged.iterdir():
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
        make_folder(target.parent)
        if target.is_dir():
            target.rmdir()  # an empty folder, in whose place Windows renames nothing
        os.rename(staged, target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return  # something took the place meanwhile; the caller compares
        raise storage_error(target, error) from error


def _check_whole(folder: Path, record: Record, run: Path) -> None:
    """Raise `DataError` unless a copy of a run holds this record, its predictions, and a configuration.

    The error names the run, since the copy is deleted.
    """
    try:
        same = load(folder / RECORD, trust_hash=True)["result_sha256"] == record["result_sha256"]
    except DataError:
        same = False
    if not same:
        raise DataError(f"{run / RECORD} changed while it was copied; run the same command again.")
    for name, check in ((PREDICTIONS, _check_predictions), (CONFIG, check_config)):
        if (folder / name).is_file():
            try:
                check(folder / name, record)
            except (DataError, ValueError, RecursionError) as error:
                what = "is damaged" if name == CONFIG else "is damaged or of another run"
                raise DataError(
                    f"{run} is not copied, because its {name} {what}; copy the run again from where it was made, or "
                    "run it again there with --existing always."
                ) from error


def _check_predictions(path: Path, record: Record) -> None:
    check_predictions(path, record["result"]["predictions_sha256"])


def check_config(path: Path, record: Record) -> None:
    """Raise `ValueError` or `RecursionError` for a configuration that cannot be parsed."""
    with open(path, "rb") as file:
        tomllib.load(file)
