"""The files of a dataset by their paths, as if all its archives were unpacked into one folder."""

from __future__ import annotations

import gzip
import hashlib
import os
import posixpath
import re
import shutil
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

from cl.data.archives import Limits, capped_tar, check_end, check_zip
from cl.data.official import lzw
from cl.data.official.foreign import how_to_unpack, programs_for
from cl.data.unpacking import (
    DAMAGE,
    MOST,
    cached,
    copied,
    damaged,
    made_from,
    stamp_of,
    unpacked,
)  # fmt: skip
from cl.errors import DataError
from cl.files import replace_file
from cl.paths import writable_cache

_HIDDEN = re.compile(r"(^|.*/)(__MACOSX/.*|\._[^/]*|\.DS_Store|Thumbs\.db|desktop\.ini)", re.IGNORECASE)
"""Files that systems add to folders and archives; some have the suffix of an image."""
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
"""Suffixes of archives that are read here, in lower case."""
_IN_PLACE = Limits(size=1 << 40)
"""Limits of an archive that is read in place, whose total size fills no disk: ImageNet has 148 GB."""


def is_archive(path: Path) -> bool:
    """Whether a file has the name of an archive that is read here."""
    return path.name.lower().endswith(ARCHIVES)


class Source(Protocol):
    """One archive or folder: the paths of its files, the content of each, and what identifies a content."""

    def names(self) -> Sequence[str]: ...

    def read(self, name: str) -> bytes: ...

    def stamp(self, name: str) -> str: ...

    def links(self) -> Mapping[str, str]:
        """Paths that stand for another path, which may be in another source."""
        return {}


class Files:
    """The files of a dataset: paths with forward slashes, relative to the folder into which everything is unpacked.

    A path that is in several sources is read from the first. Reading is safe from several threads. `lists` are the
    paths of the text files that were read.
    """

    def __init__(self, sources: Sequence[Source], where: str) -> None:
        self._sources, self.where = sources, where
        self.lists: list[str] = []

    @cached_property
    def _places(self) -> dict[str, tuple[Source, str]]:
        """By path the source of its content, and the path there."""
        places: dict[str, tuple[Source, str]] = {}
        for source in reversed(self._sources):
            places |= {name: (source, name) for name in source.names() if not _HIDDEN.fullmatch(name)}
        linked = {name: to for source in reversed(self._sources) for name, to in source.links().items()}
        places = {name: places[to] for name, to in linked.items() if to in places} | places
        return dict(sorted(places.items()))

    @property
    def names(self) -> Sequence[str]:
        """All paths, sorted."""
        return tuple(self._places)

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def match(self, pattern: str) -> Iterator[tuple[str, re.Match[str]]]:
        """The paths that a regular expression matches as a whole, sorted, with the match. Raises `DataError` if none
        does."""
        compiled, found = re.compile(pattern), False
        for name in self._places:
            if matched := compiled.fullmatch(name):
                found = True
                yield name, matched
        if not found:
            raise DataError(f"{self.where} has no file {pattern!r}; get the whole dataset and run again.")

    def read(self, name: str) -> bytes:
        """The content of a file; raises `DataError` for one that is missing or damaged."""
        source, there = self._place(name)
        with damaged(f"{name} of {self.where}"):
            return source.read(there)

    def text(self, name: str, encoding: str = "utf-8") -> str:
        """The content of a text file; raises as `read`, and `DataError` for another encoding."""
        self.lists.append(name)
        try:
            return self.read(name).decode(encoding)
        except UnicodeDecodeError as error:
            raise DataError(f"{name} of {self.where} is no text in {encoding} ({error}); replace it.") from error

    def lines(self, name: str, encoding: str = "utf-8") -> list[str]:
        """The lines of a text file without spaces around them, empty lines left out; raises as `text`."""
        return [line for each in self.text(name, encoding).splitlines() if (line := each.strip())]

    def stamp(self, name: str) -> str:
        """What changes if the content of a file does; reads nothing. Raises `DataError` for one that is missing."""
        source, there = self._place(name)
        return source.stamp(there)

    def _place(self, name: str) -> tuple[Source, str]:
        if (place := self._places.get(name)) is None:
            raise DataError(f"{self.where} has no file {name}; get the whole dataset and run again.")
        return place

    def local(self, name: str) -> Path:
        """The path on this machine of a file with the content of a file, for libraries that take paths alone.

        What is packed is copied into the cache. A file that is plain, compressed alone or in a zip may have any size.
        Raises as `read`.
        """
        source, there = self._place(name)
        if isinstance(source, Folder):
            return source.root / there
        if isinstance(source, Single):
            return source.local()
        if isinstance(source, Zip):
            return source.local(there)
        return copied(name, self.read(name), f"{self.where} {self.stamp(name)}")

    def inside(self, name: str, into: str = "") -> Files:
        """The files of an archive that is one of the files; `into` is the folder that they are in. Raises as `read`."""
        source, there = self._place(name)
        if isinstance(source, Tar) and (region := source.region(there)) is not None:
            nested: Source = Tar(source.path, into, region)
        else:
            path = copied(name, self.read(name), f"{self.where} {self.stamp(name)}")
            nested = open_source(path, into)
        return Files([nested], f"{name} of {self.where}")


def joined(*files: Files) -> Files:
    """The files of several at once."""
    return Files([source for each in files for source in each._sources], files[0].where)


class Folder(Source):
    """The files below some paths of an unpacked folder."""

    def __init__(self, root: Path, below: Sequence[str]) -> None:
        self.root, self.below = root, below
        self._made = made_from(root)

    def names(self) -> list[str]:
        found = []
        for below in self.below:
            top = self.root / below
            if top.is_file():
                found.append(below)
            for folder, _, names in os.walk(top, followlinks=True):
                inner = Path(folder).relative_to(self.root).as_posix()
                found += [name if inner == "." else f"{inner}/{name}" for name in names]
        return found

    def read(self, name: str) -> bytes:
        with open(self.root / name, "rb") as file:
            return _whole(file.read(MOST + 1), name)

    def stamp(self, name: str) -> str:
        return stamp_of(self.root / name, self._made)


class Zip(Source):
    """The members of a zip file, read in place."""

    def __init__(self, path: Path, into: str) -> None:
        self.path, self._into = path, into
        with damaged(str(path)):
            self._file = zipfile.ZipFile(path)
            check_zip(self._file, path, _IN_PLACE)
        self._members = {_placed(entry.filename, into): entry for entry in self._file.infolist() if not entry.is_dir()}

    def names(self) -> list[str]:
        return list(self._members)

    def read(self, name: str) -> bytes:
        entry = self._members[name]
        _bounded(entry.file_size, name)
        return self._file.read(entry)

    def stamp(self, name: str) -> str:
        entry = self._members[name]
        return f"{entry.file_size} {entry.CRC:08x}"

    def local(self, name: str) -> Path:
        """The path of a copy in the cache, which may be larger than the memory."""
        entry = self._members[name]

        def write(temporary: Path) -> None:
            with self._file.open(entry) as member, open(temporary, "wb") as copy:
                shutil.copyfileobj(member, copy, 1 << 20)

        return cached(name, entry.file_size, f"{self.path} {self.stamp(name)}", write)


class Tar(Source):
    """The members of a tar that is not compressed, read in place; `region` is its first byte and length in the file."""

    def __init__(self, path: Path, into: str, region: tuple[int, int] | None = None) -> None:
        self.path = path
        start = 0 if region is None else region[0]
        self._members: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}
        with damaged(str(path)), capped_tar(path, _IN_PLACE, region) as tar:
            for member in tar:
                if member.isreg() and not member.issparse():
                    self._members[_placed(member.name, into)] = (start + member.offset_data, member.size)
                elif member.issym() or member.islnk():
                    folder = posixpath.dirname(member.name) if member.issym() else ""
                    to = posixpath.normpath(posixpath.join(folder, member.linkname))
                    self._links[_placed(member.name, into)] = _placed(to, into)
            check_end(tar)
        self._stamp = stamp_of(path, made_from(path))

    def names(self) -> list[str]:
        return list(self._members)

    def links(self) -> Mapping[str, str]:
        return self._links

    def read(self, name: str) -> bytes:
        start, length = self._members[name]
        with open(self.path, "rb") as file:
            file.seek(start)
            data = file.read(_bounded(length, name))
        if len(data) != length:
            raise EOFError("it ends in the middle")
        return data

    def region(self, name: str) -> tuple[int, int] | None:
        """Where a member that is itself a plain tar lies in the file."""
        start, length = self._members[name]
        with open(self.path, "rb") as file:
            file.seek(start + 257)
            return (start, length) if file.read(5) == b"ustar" else None

    def stamp(self, name: str) -> str:
        start, length = self._members[name]
        return f"{self._stamp} {start} {length}"


class Single(Source):
    """One file under its name; a file compressed with gzip under its name without `.gz`."""

    def __init__(self, path: Path, into: str) -> None:
        self.path = path
        self._packed = path.suffix.lower() == ".gz"
        self._name = _placed(path.stem if self._packed else path.name, into)

    def names(self) -> list[str]:
        return [self._name]

    def read(self, name: str) -> bytes:
        with gzip.open(self.path) if self._packed else open(self.path, "rb") as file:
            return _whole(file.read(MOST + 1), name)

    def stamp(self, name: str) -> str:
        return stamp_of(self.path, made_from(self.path))

    def local(self) -> Path:
        """The path of the file, unpacked if it is compressed."""
        return unpacked(self.path) / self.path.stem if self._packed else self.path


def open_source(path: Path, into: str = "") -> Source:
    """An archive or a single file by its content: zip and plain tar are read in place, compressed tars are unpacked
    into the cache. Raises `DataError` for a damaged one and for formats that need a program (rar, 7z)."""
    with damaged(str(path)), open(path, "rb") as file:
        start = file.read(512)
    if start[:4] in (b"PK\3\4", b"PK\5\6"):
        return Zip(path, into)
    if start[257:262] == b"ustar":
        return Tar(path, into)
    if programs_for(start):
        raise DataError(f"{how_to_unpack(path, into)}.")
    if start[:2] == lzw.MAGIC:
        return open_source(_decompressed(path), into)
    if _is_packed_tar(path, start):
        return Folder(unpacked(path), ("",)) if not into else _Moved(Folder(unpacked(path), ("",)), into)
    if is_archive(path):
        raise DataError(f"Cannot read {path}: it is no archive of a known kind; get it again.")
    return Single(path, into)


class _Moved(Source):
    """A source whose files are in the folder `into`."""

    def __init__(self, source: Source, into: str) -> None:
        self._source, self._into = source, into

    def names(self) -> list[str]:
        return [_placed(name, self._into) for name in self._source.names()]

    def read(self, name: str) -> bytes:
        return self._source.read(name[len(self._into) + 1 :])

    def stamp(self, name: str) -> str:
        return self._source.stamp(name[len(self._into) + 1 :])


def _is_packed_tar(path: Path, start: bytes) -> bool:
    if not start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")):
        return False
    try:
        with capped_tar(path):
            return True
    except tarfile.ReadError:
        return False
    except PermissionError:
        raise  # the file is whole as far as we know
    except DAMAGE as error:
        raise DataError(f"Cannot read {path}: it is truncated or damaged ({error}); get it again.") from error


def _decompressed(path: Path) -> Path:
    """A file of the cache with the content of a .Z file, which is unpacked once: it takes minutes for a large one."""
    key = hashlib.sha256(f"{path.name} {stamp_of(path, made_from(path))}".encode()).hexdigest()[:16]
    target = writable_cache() / "unpacked" / f"{key}-{path.stem}"
    if not target.is_file():
        with damaged(str(path)):
            content = lzw.uncompressed(path.read_bytes(), MOST)

        def write(temporary: Path) -> None:
            temporary.write_bytes(content)

        replace_file(target, write, durable=False)
    return target


def _placed(name: str, into: str) -> str:
    """The path of a member: without `./`, below `into`."""
    name = name.replace("\\", "/")
    while name.startswith("./"):
        name = name[2:]
    return f"{into}/{name}" if into else name


def _bounded(size: int, name: str) -> int:
    if size > MOST:
        raise DataError(f"{name} has more than {MOST:,} bytes; get the file that its authors offer.")
    return size


def _whole(data: bytes, name: str) -> bytes:
    _bounded(len(data), name)
    return data
