"""Results folders elsewhere: any place that fsspec reaches, such as s3://bucket/results or hf://datasets/me/results.

The layout is that of a results folder. The record of a run is sent last, so a run without a record is one whose
sending was stopped, and is sent again. What is received is not trusted (`cl.results.hostile`) and enters the target as
in a merge.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from cl.errors import ClbenchError, DataError, StorageError, UsageError, printable, sentence
from cl.files import make_folder, replace_file, storage_error
from cl.records.record import RECORD, Record, load
from cl.results.hostile import LIMITS, MOST_FILES, MOST_TOTAL, Refused, check_files, check_place, check_record
from cl.results.merge import (
    FILES,
    LEARNER,
    STAGING,
    Outcome,
    check_apart,
    check_source,
    compared,
    differences,
    exclusive,
    put,
)
from cl.results.store import find_records

T = TypeVar("T")

TRANSFERS = 8
"""Runs that are sent or received at a time."""

_BLOCK = 1 << 20
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "hf": "huggingface_hub", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs"}
"""The package of a protocol, where fsspec's own message does not name it."""


@dataclass(frozen=True)
class Place:
    """A folder elsewhere: a file system of fsspec, and a path in it."""

    url: str
    system: Any
    root: str

    @classmethod
    def of(cls, url: str) -> Place:
        """Raises `UsageError`, which names the package to install, if it cannot be reached in principle."""
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise UsageError("Other places need fsspec; install it with: pip install 'clbench[remote]'.") from error
        protocol = url.partition("://")[0]
        try:
            system, root = url_to_fs(url)
        except ImportError as error:
            package = _PACKAGES.get(protocol, "")
            how = f"{package}: pip install {package}" if package else f"another package: {_why(error)}"
            raise UsageError(f"{printable(protocol)}:// needs {how}.") from error
        except ValueError as error:
            raise UsageError(f"There is no place {printable(url)}: {printable(str(error))}; check the URL.") from error
        return cls(url, system, root.rstrip("/"))

    def at(self, path: str) -> str:
        return f"{self.root}/{path}" if self.root else path

    @property
    def local(self) -> bool:
        names = self.system.protocol
        return "file" in ((names,) if isinstance(names, str) else names)

    def files(self) -> dict[str, int]:
        """Size of every file by its path below the folder, as the place states them; -1: unknown.

        What is neither a file nor a folder, such as a link, has size -2. Raises `UsageError` if the place is a file,
        `DataError` if it cannot be listed or has too many files.
        """
        try:
            found = dict(islice(self._listed(), MOST_FILES + 1))
        except FileNotFoundError:
            return {}
        except ClbenchError:
            raise
        except Exception as error:  # each file system raises its own
            raise DataError(f"Cannot list {printable(self.url)}: {_why(error)}.") from error
        if len(found) > MOST_FILES:
            raise DataError(f"{printable(self.url)} has more than {MOST_FILES:,} files; name a folder inside it.")
        return found

    def _listed(self) -> Iterator[tuple[str, int]]:
        if not self.local:  # one listing for all, where a folder each would take a request each
            for path, about in self.system.find(self.root, detail=True).items():
                self._check_no_file(path, about)
                yield self._below(path), _size(about)
            return
        waiting = [self.root]
        while waiting:  # links are not followed
            for about in self.system.ls(waiting.pop(), detail=True):
                self._check_no_file(about["name"], about)
                if about["type"] == "directory" and not about.get("islink"):
                    waiting.append(about["name"])
                else:
                    plain = about["type"] == "file" and not about.get("islink")
                    yield self._below(about["name"]), _size(about) if plain else -2

    def _check_no_file(self, path: str, about: Any) -> None:
        """Raise `UsageError` if what is listed is the place itself, which is then a file."""
        if about.get("type") == "file" and path.lstrip("/") == self.root.lstrip("/"):
            raise UsageError(f"{printable(self.url)} is a file; a folder of runs, or the URL of one, is expected.")

    def _below(self, path: str) -> str:
        """A listed path below the folder; one that is not below it stays whole, and is refused later."""
        start = f"{self.root.lstrip('/')}/" if self.root else ""
        plain = path.lstrip("/")
        return plain[len(start) :] if plain.startswith(start) else path

    def read(self, path: str, most: int) -> bytes:
        """A file of at most `most` bytes, whatever size the place states; raises `Refused`."""
        parts: list[bytes] = []
        self.receive(path, most, parts.append)
        return b"".join(parts)

    def receive(self, path: str, most: int, take: Callable[[bytes], Any]) -> int:
        """Read a file in blocks; returns its size. Raises `Refused` once it is larger than `most`.

        What `take` raises is passed on if it is a `ClbenchError`, else it counts as a failure to read.
        """
        size = 0
        try:
            with self.system.open(self.at(path), "rb") as file:
                while block := file.read(_BLOCK):
                    size += len(block)
                    if size > most:
                        raise Refused(f"{path.rpartition('/')[2]} is larger than {most:,} bytes")
                    take(block)
        except ClbenchError:
            raise
        except Exception as error:  # each file system raises its own
            raise DataError(f"Cannot read {printable(self.at(path))}: {_why(error)}.") from error
        return size

    def send(self, file: Path, path: str) -> None:
        """Write a file whole; raises `StorageError`."""
        try:
            if self.local:
                replace_file(Path(self.at(path)), lambda temporary: _copied(file, temporary))
            else:
                self.system.put_file(str(file), self.at(path))
        except ClbenchError:
            raise
        except Exception as error:  # each file system raises its own
            raise StorageError(f"Cannot write {printable(self.at(path))}: {_why(error)}.") from error


def _copied(file: Path, target: Path) -> None:
    shutil.copyfile(file, target)


def _why(error: BaseException) -> str:
    """The words of an error of a file system, on one line."""
    text = printable(" ".join(str(error).split()))[:300]
    return text.removesuffix(".") or type(error).__name__


def _size(about: Any) -> int:
    size = about.get("size")
    return size if isinstance(size, int) else -1


def _each(work: Callable[[Any], T], items: Iterable[Any], transfers: int) -> Iterator[T]:
    """Results of `work` in order, with a bounded number of items in progress."""
    with ThreadPoolExecutor(transfers) as pool:
        waiting = iter(items)
        running = [pool.submit(work, item) for item in islice(waiting, 2 * transfers)]
        try:
            while running:
                yield running.pop(0).result()
                running += [pool.submit(work, item) for item in islice(waiting, 1)]
        finally:
            for future in running:
                future.cancel()


# ---------------------------------------------------------------------------------------------------------------- push


def push(
    folder: Path, url: str, *, partial: bool = False, learners: bool = False, transfers: int = TRANSFERS,
    dry_run: bool = False,
) -> Iterator[Outcome]:  # fmt: skip
    """Send the complete runs below a folder; yields an outcome for each run, "merged" for one that was sent.

    With `dry_run` nothing is sent, and "merged" says that it would be. A run that is there with the same
    `result_sha256` is not sent again, one with another is a conflict and stays. Raises `UsageError` for a folder or a
    place that does not exist, and for a place on this machine that holds or is inside of the folder; `DataError` if
    the place cannot be listed.
    """
    place = Place.of(url)
    check_source(folder, Path(place.root) if place.local else None, "target")
    runs = [file.parent for file in find_records(folder)]
    there = place.files()

    def one(run: Path) -> Outcome:
        name = run.relative_to(folder).as_posix()
        try:
            check_place(f"{name}/{RECORD}")  # what `pull` would refuse is not sent
            record = load(run / RECORD, trust_hash=True)
            if record["status"] != "complete" and not partial:
                return Outcome("unfinished", name, str(run))
            if f"{name}/{RECORD}" in there:
                return _compared_there(record, run, place, name)
            for file in () if dry_run else FILES:
                if (run / file).is_file() and (learners or file != LEARNER):
                    place.send(run / file, f"{name}/{file}")
            return Outcome("merged", name, str(run))
        except (DataError, UsageError, Refused) as error:
            return Outcome("refused", name, str(run), _told(name, error))

    yield from _each(one, runs, transfers)


def _compared_there(record: Record, run: Path, place: Place, name: str) -> Outcome:
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, RECORD)
        try:
            content = place.read(f"{name}/{RECORD}", LIMITS[RECORD])
            with _written(copy):
                copy.write_bytes(content)
            other = check_record(copy)
        except (DataError, Refused) as error:
            why = f"{run} is not sent, because the record at {place.at(name)} cannot be used: {sentence(error)}"
            return Outcome("conflict", name, str(run), printable(why))
    if other["result_sha256"] == record["result_sha256"] and other["status"] == record["status"]:
        return Outcome("the same", name, str(run))
    what = ", ".join(differences(record, other))
    why = f"{run} and {place.at(name)} are different runs: {what}. The second is kept."
    return Outcome("conflict", name, str(run), printable(why))


def _told(name: str, error: BaseException) -> str:
    return printable(f"{name[:200]}: {sentence(error).removesuffix('.')}.")


# ---------------------------------------------------------------------------------------------------------------- pull


@dataclass
class _Budget:
    """The bytes that may still be received, shared by all transfers."""

    left: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, block: bytes) -> None:
        with self.lock:
            self.left -= len(block)
            if self.left < 0:
                raise Refused("all files together are larger than the limit; raise it with --max-bytes")


def pull(
    url: str, into: Path, *, partial: bool = False, learners: bool = False, most: int = MOST_TOTAL,
    transfers: int = TRANSFERS, dry_run: bool = False,
) -> Iterator[Outcome]:  # fmt: skip
    """Receive the complete runs below a place; yields an outcome for each run, "merged" for one that was received.

    Names, sizes, structure and hashes are checked before a run enters the target; one that fails is "refused" as a
    whole. At most `most` bytes are received. A run that is in the target already costs its record only. With `dry_run`
    records alone are received and checked, nothing is written into the target, and "merged" says that it would be.
    Raises `UsageError` for a place that does not exist, `DataError` if it cannot be listed, `StorageError` if the
    target cannot be written.
    """
    place, budget = Place.of(url), _Budget(most)
    if place.local:
        check_apart(Path(place.root), into, "target")
    runs, refused = _sorted_out(place.files(), learners)
    if not runs and not refused:
        raise UsageError(f"There are no runs at {printable(url)}; check the URL.")
    yield from refused
    if not runs:
        return
    with tempfile.TemporaryDirectory() if dry_run else _staging(into) as received:

        def one(job: tuple[int, str]) -> tuple[Outcome | None, str, Path, Record | None]:
            number, name = job
            scratch = Path(received, str(number))
            source = printable(place.at(name))
            try:
                record = _receive_record(place, name, scratch, budget)
                if record["status"] != "complete" and not partial:
                    return Outcome("unfinished", name, source), name, scratch, None
                if (found := compared(record, source, into / name, name)) is None and not dry_run:
                    _receive_rest(place, name, runs[name], scratch, budget)
                    check_files(scratch, record)
                return found, name, scratch, record
            except (DataError, Refused) as error:
                return Outcome("refused", name, source, _told(name, error)), name, scratch, None

        for found, name, scratch, record in _each(one, enumerate(sorted(runs)), transfers):
            source = printable(place.at(name))
            if found is None and record is not None and not dry_run:
                put(scratch, record, into, name)
                found = compared(record, source, into / name, name, done="merged")
            shutil.rmtree(scratch, ignore_errors=True)
            yield found or Outcome("merged", name, source)


@contextlib.contextmanager
def _staging(into: Path) -> Iterator[str]:
    """The folder in the target for what is received, while the target is locked."""
    with _kept_if_used(into), exclusive(into):
        yield str(into / STAGING / "received")


@contextlib.contextmanager
def _kept_if_used(folder: Path) -> Iterator[None]:
    """Remove a folder that was made meanwhile and is empty, with those above it that were made for it."""
    new = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # not empty, or never made
            for each in new:
                each.rmdir()


def _sorted_out(files: dict[str, int], learners: bool) -> tuple[dict[str, list[str]], list[Outcome]]:
    """By place of a run, the names of its files that are wanted; and runs and files that are refused unread.

    Files that no run has, such as a README, are not taken and not refused, unless their path could lead elsewhere.
    """
    wanted = {name for name in FILES if learners or name != LEARNER}
    runs: dict[str, list[str]] = {}
    refused: dict[str, str] = {}
    for path, size in sorted(files.items()):
        folder, _, name = path.rpartition("/")
        ours = name in wanted
        try:
            if ours or ".." in path.split("/") or path.startswith("/"):
                check_place(path)
            if ours and not folder:
                raise Refused("it is not in the folder of a run; name the folder above it")
            if ours and size == -2:
                raise Refused(f"{name} is a link or no file")
            if ours and size > LIMITS[name]:
                raise Refused(f"{name} has {size:,} bytes, more than {LIMITS[name]:,}")
        except Refused as error:
            refused.setdefault(folder or path, _told(path, error))
            continue
        if ours:
            runs.setdefault(folder, []).append(name)
    outcomes = [Outcome("refused", printable(place), printable(place), why) for place, why in refused.items()]
    return {place: names for place, names in runs.items() if RECORD in names and place not in refused}, outcomes


def _receive_record(place: Place, name: str, scratch: Path, budget: _Budget) -> Record:
    make_folder(scratch)
    _receive(place, f"{name}/{RECORD}", scratch / RECORD, budget)
    return check_record(scratch / RECORD)


def _receive_rest(place: Place, name: str, files: Sequence[str], scratch: Path, budget: _Budget) -> None:
    for file in files:
        if file != RECORD:
            _receive(place, f"{name}/{file}", scratch / file, budget)


def _receive(place: Place, path: str, file: Path, budget: _Budget) -> None:
    with _written(file), open(file, "xb", buffering=0) as out:  # unbuffered: a full disk is noticed in `take`

        def take(block: bytes) -> None:
            budget.take(block)
            with _written(file):
                left = memoryview(block)
                while left:
                    left = left[out.write(left) :]

        place.receive(path, LIMITS[file.name], take)


@contextlib.contextmanager
def _written(file: Path) -> Iterator[None]:
    """Turn an `OSError` of writing a file of our own into `StorageError`, which names the file."""
    try:
        yield
    except OSError as error:
        raise storage_error(file, error) from error
