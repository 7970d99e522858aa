"""The files that a run reads, with sizes, times and hashes: they tell later, mostly without reading, what changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import xxhash

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Stamp:
    """What is known of a file or a folder: `quick` from names, sizes and times; `content` a hash, empty for folders."""

    quick: str
    content: str = ""

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """The stamp of a file or folder; `quick` is empty if it cannot be read."""
        try:
            if path.is_dir():
                return cls(_tree(path))
            return cls(_quick(path), _content(path))
        except OSError:
            return cls("")

    def is_of(self, path: Path) -> bool:
        """Whether the path is unchanged; a file with other times is read and compared."""
        try:
            if path.is_dir():
                return _tree(path) == self.quick
            return _quick(path) == self.quick or bool(self.content and _content(path) == self.content)
        except OSError:
            return False


@dataclass
class Reads:
    """Stamps of the paths that were read, and searches by name with what they found; `whole` if that is all."""

    paths: dict[str, Stamp] = field(default_factory=dict)
    searches: list[dict[str, Any]] = field(default_factory=list)
    whole: bool = True

    def as_json(self) -> dict[str, Any]:
        """Plain values for a file."""
        return {"paths": {path: asdict(stamp) for path, stamp in self.paths.items()}, "searches": self.searches}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Reads:
        """The inverse of `as_json`; raises `KeyError`, `TypeError` or `AttributeError` for anything else."""
        return cls({path: Stamp(**stamp) for path, stamp in value["paths"].items()}, list(value["searches"]))

    def changed(self) -> list[str]:
        """The paths whose content is not, or perhaps not, what was read."""
        return [path for path, stamp in self.paths.items() if not stamp.is_of(Path(path))]


_recording: ContextVar[Reads | None] = ContextVar("reads", default=None)


@contextmanager
def recording(reads: Reads | None = None) -> Iterator[Reads]:
    """Record what is read inside, in addition to what `reads` holds."""
    reads = reads if reads is not None else Reads()
    token = _recording.set(reads)
    try:
        yield reads
    finally:
        _recording.reset(token)


def note(*paths: Path) -> None:
    """Tell that files or folders are read; a reader of data calls it before it reads them."""
    if (reads := _recording.get()) is not None:
        for path in paths:
            reads.paths.setdefault(str(path.absolute()), Stamp.of(path))


def note_written(written: Path) -> None:
    """Tell what a path as it was written leads to: a relative path or a link may lead elsewhere later."""
    note_search((written.expanduser().resolve(),), path=os.fspath(written))


def note_search(found: Sequence[Path], **search: Any) -> None:
    """Tell what a search for files by name found; `search` are its JSON arguments."""
    if (reads := _recording.get()) is not None:
        entry = {**search, "found": [str(path.absolute()) for path in found]}
        if entry not in reads.searches:
            reads.searches.append(entry)


def _quick(path: Path) -> str:
    return text_of(path.stat())


def text_of(status: os.stat_result) -> str:
    """Size, times and inode of a file. The time of change, unlike that of modification, cannot be set by a user."""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _content(path: Path) -> str:
    digest = xxhash.xxh3_128()
    with open(path, "rb") as stream:
        while block := stream.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()


def _tree(root: Path) -> str:
    """Hash of names, sizes and times of all files below a folder; links are followed, each folder once."""
    lines, seen = [], set[tuple[int, int]]()
    for folder, folders, files in os.walk(root, onerror=_fail, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        for name in files:
            path = os.path.join(folder, name)
            try:
                lines.append(f"{path[len(str(root)) :]}\t{text_of(os.stat(path))}")
            except OSError:  # a dangling link
                lines.append(f"{path[len(str(root)) :]}\tunreadable")
    text = "\n".join(sorted(lines))
    return f"{len(lines)} files {xxhash.xxh3_128(text.encode(errors='surrogateescape')).hexdigest()}"


def _fail(error: OSError) -> None:
    raise error
