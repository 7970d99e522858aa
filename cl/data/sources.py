"""Sources of data and weights: CLBENCH_DATA_PATH, then the cache under CLBENCH_HOME, then a verified download."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cl.data import reads
from cl.data.progress import Bar
from cl.data.store import Progress
from cl.errors import DataError, MissingData, StorageError
from cl.files import make_folder, sha256_of, write_text
from cl.paths import data_path, home, looking_only

log = logging.getLogger("clbench.data")
_CHUNK = 1 << 16

TORCHVISION = "torchvision"
"""Subfolder of the cache's data for datasets that torchvision downloads in its own layout."""


@dataclass(frozen=True)
class RemoteFile:
    """A file to download: mirrors in order, and its SHA-256 (None: recorded at the first download, checked from then
    on). `md5` is for files with only a published MD5."""

    name: str
    urls: tuple[str, ...]
    sha256: str | None = None
    size: int = 0
    md5: str | None = None


def is_offline() -> bool:
    """Whether CLBENCH_OFFLINE or `cl.paths.look_only` forbids the network; "", 0, false, no and off do not."""
    return looking_only() or _told_to_be_offline()


def _told_to_be_offline() -> bool:
    return os.environ.get("CLBENCH_OFFLINE", "").strip().lower() not in ("", "0", "false", "no", "off")


def candidates(names: Sequence[str], subfolders: Sequence[str] = ()) -> Iterator[tuple[Path, ...]]:
    """Paths of `names` in every folder that holds all of them: each data folder and the cache, and their
    subfolders."""
    first = True
    for root in [*data_path(), home() / "data"]:
        for folder in [root, *(root / sub for sub in subfolders)]:
            paths = tuple(folder / name for name in names)
            if all(path.exists() for path in paths):
                if first:
                    reads.note_search(paths, names=list(names), subfolders=list(subfolders))
                first = False
                yield paths
    if first:
        reads.note_search((), names=list(names), subfolders=list(subfolders))


def next_to_or_candidates(folder: Path, names: Sequence[str], subfolders: Sequence[str]) -> tuple[Path, ...] | None:
    """The paths of `names` in a folder that holds all of them, else the first of `candidates`, else None."""
    if all((folder / name).exists() for name in names):
        found: tuple[Path, ...] | None = tuple((folder / name).resolve() for name in names)
    else:
        found = next(candidates(names, subfolders), None)
    reads.note_search(found or (), names=list(names), subfolders=list(subfolders), next_to=str(folder.absolute()))
    return found


def found_again(search: Mapping[str, Any]) -> list[str]:
    """The paths that a search of `cl.data.reads` finds now."""
    if "path" in search:
        found: tuple[Path, ...] = (Path(search["path"]).expanduser().resolve(),)
    elif "next_to" in search:
        found = next_to_or_candidates(Path(search["next_to"]), search["names"], search["subfolders"]) or ()
    elif "names" in search:
        found = next(candidates(search["names"], search["subfolders"]), ())
    else:
        found = (find_file(search["file"], search["kind"]),)
    return [str(path.absolute()) for path in found]


def find_file(name_or_path: str | os.PathLike[str], kind: str = "weights") -> Path:
    """Find a local file; `kind` is the subfolder for such files.

    An absolute path, or a path that starts with `.` or `~`, is used directly. Other names are searched in the folders
    of CLBENCH_DATA_PATH (and their `kind` subfolder), then in the cache, then in the current folder. Raises
    `DataError`.
    """
    name = os.fspath(name_or_path)
    path = Path(name).expanduser()
    if path.is_absolute() or name.startswith("."):
        if path.is_file():
            reads.note(path)
            reads.note_written(Path(name))
            return path
        raise DataError(f"There is no file {path}; check the path.")
    places = [*data_path(), home()]
    for place in [folder for root in places for folder in (root, root / kind)] + [Path.cwd()]:
        if (place / path).is_file():
            reads.note(place / path)
            reads.note_search((place / path,), file=name, kind=kind)
            return place / path
    raise DataError(
        f"The {kind} file {name!r} was not found in {_listed([*places, Path.cwd()])}; "
        "give its full path, or set CLBENCH_DATA_PATH to a folder that holds it."
    )


def searched() -> str:
    """The folders in which data is looked for, for an error."""
    return _listed([*data_path(), home() / "data"])


def missing(what: str, names: Sequence[str]) -> MissingData:
    """The error for data that was not found and may not be downloaded, with the fix, in one sentence."""
    absent = f"{what} ({' or '.join(names)}) was not found in {searched()}"
    if not _told_to_be_offline():
        error = MissingData(f"{absent}; a run downloads it.")
        error.downloads = True
        return error
    return MissingData(
        f"{absent} and CLBENCH_OFFLINE forbids downloading it; set CLBENCH_DATA_PATH to a folder that holds it, or "
        "unset CLBENCH_OFFLINE."
    )


def announce(title: str, licence: str, citation: str, size: int | None = None) -> None:
    """Log, before a download begins, what is downloaded and under which terms."""
    megabytes = f" ({size / 1e6:.0f} MB)" if size is not None else ""
    log.warning("Downloading %s%s. Licence: %s. Please cite: %s.", title, megabytes, licence, citation)


def check_sha256(path: Path, expected: str | None) -> None:
    """Raise `DataError` if a file does not have the expected SHA-256; None: the hash recorded at its first
    download."""
    if expected is None:
        expected = recorded_sha256(path)
    if expected is None:
        return
    found = sha256_of(path)
    if found != expected.lower():
        raise DataError(
            f"{path} is damaged or not the file we know: its SHA-256 is {found}, expected {expected}; "
            "delete it and run again."
        )


def recorded_sha256(path: Path) -> str | None:
    """The SHA-256 of the first download of a file; None if it was not recorded."""
    record = _record(path)
    return record.read_text().split()[0] if record.is_file() else None


def check_md5(path: Path, expected: str | None) -> None:
    """Raise `DataError` if a file does not have the published MD5; this does not protect against forgery."""
    if expected is None:
        return
    with open(path, "rb") as file:
        digest = hashlib.md5(usedforsecurity=False)
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != expected:
        raise DataError(
            f"{path} is damaged or not the file we know: its MD5 is {digest.hexdigest()}, expected {expected}; "
            "delete it and run again."
        )


def fetch(file: RemoteFile, progress: Progress | None = None) -> Path:
    """The file in the cache, downloaded if necessary; downloads are locked, resumed, verified and atomic.

    Raises `DataError` if the network is forbidden, no mirror works or the content is wrong, and `StorageError` if the
    cache cannot be written.
    """
    target = home() / "data" / file.name
    if target.is_file():
        check_sha256(target, file.sha256)
        return target
    if is_offline():
        raise missing(file.name, [file.name])
    from filelock import FileLock

    try:
        make_folder(target.parent)
        with FileLock(f"{target}.lock"):
            if not target.is_file():  # another process may have finished it while we waited
                _download(file, target, progress)
    except (StorageError, OSError) as error:  # of the folder or its lock; _download handles failed downloads
        raise StorageError(
            f"The cache {target.parent} cannot be written; set CLBENCH_HOME to a folder you own."
        ) from error
    check_sha256(target, file.sha256)
    return target


def _download(file: RemoteFile, target: Path, progress: Progress | None) -> None:
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    failures: list[str] = []
    mirrors = list(file.urls)
    while mirrors:
        url = mirrors.pop(0)
        download = _Resumable(file, target.with_name(target.name + ".part"), progress)
        try:
            known = f"sha256:{file.sha256}" if file.sha256 else f"md5:{file.md5}" if file.md5 else None
            pooch.retrieve(url, known_hash=known, fname=target.name, path=target.parent, downloader=download)
            if file.sha256 is None:
                write_text(_record(target), f"{sha256_of(target)}  {target.name}\n")
            return
        except ValueError as error:  # wrong content: pooch has removed it
            if download.resumed:  # the partial file may have been of another file: start again from zero
                mirrors.insert(0, url)
            failures.append(f"{urlsplit(url).hostname}: another content")
            log.info("Download from %s: %s", url, error)
        except OSError as error:  # includes all errors of requests; the next attempt continues the partial file
            failures.append(f"{urlsplit(url).hostname}: {type(error).__name__}")
            log.info("Download from %s failed: %s", url, error)
    raise DataError(
        f"{file.name} could not be downloaded ({'; '.join(failures)}); check the network and run again (a partial "
        "download continues), or put the file into a folder named by CLBENCH_DATA_PATH."
    )


class _Resumable:
    """A pooch downloader that saves received data in a `.part` file and continues it with an HTTP range."""

    def __init__(self, file: RemoteFile, part: Path, progress: Progress | None) -> None:
        self._file, self._part, self._progress = file, part, progress
        self.resumed = False

    def __call__(self, url: str, output_file: Any, pooch: Any, check_only: bool = False) -> None:
        import requests

        have = self._part.stat().st_size if self._part.is_file() else 0
        self.resumed = have > 0
        if not (have and have == self._file.size):
            headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
            with requests.get(url, headers=headers, stream=True, timeout=30) as response:
                if response.status_code == requests.codes.requested_range_not_satisfiable:
                    self._part.unlink()
                response.raise_for_status()
                if response.status_code != requests.codes.partial_content:
                    have, self.resumed = 0, False  # the server sends the whole file
                self._save(response, have)
        os.replace(self._part, output_file)

    def _save(self, response: Any, have: int) -> None:
        length = int(response.headers.get("Content-Length", 0))
        total = have + length if length else self._file.size
        with (
            open(self._part, "ab" if have else "wb") as stream,
            Bar(f"download {self._file.name}", total, self._progress, done=have, unit="B") as bar,
        ):
            for chunk in response.iter_content(_CHUNK):
                stream.write(chunk)
                bar.add(len(chunk))


def _record(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _listed(folders: Sequence[Path]) -> str:
    return ", ".join(str(folder) for folder in dict.fromkeys(folders))
