"""Safe unpacking of untrusted archives: everything inside the target folder, or nothing at all.

`tarfile`, `zipfile` and pooch, which calls them, keep paths inside the target, but they unpack any size and any number
of files, and any order of names and links. This module checks every name, refuses links and special files, and limits
sizes before and during writing.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, cast

from cl.data.decoded import temporary_folder
from cl.errors import DataError
from cl.files import make_folder, storage_error
from cl.leases import lease

_CHUNK = 1 << 20
_HERE = PurePosixPath(".")
_SMALL = 1 << 20
"""Bytes below which the ratio is not checked: a few kilobytes of zeros compress a thousandfold."""
_HEADERS = 4096
"""Maximum bytes of a tar member in addition to its content: headers, long names, padding."""
_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, NotImplementedError, ValueError),
)


@dataclass(frozen=True)
class Limits:
    """Limits of an archive: unpacked bytes, members, and unpacked bytes per byte of the archive."""

    size: int = 64 << 30
    members: int = 1_000_000
    ratio: int = 200


DEFAULT = Limits()


@dataclass(frozen=True)
class _Member:
    name: str
    size: int  # as declared
    is_folder: bool
    open: Callable[[], IO[bytes] | None]


def safe_extract(archive: Path, target: Path, limits: Limits = DEFAULT) -> Path:
    """Unpack a tar (plain, gz, bz2, xz), a zip or a single .gz file into the new folder `target` and return it.

    The folder appears once it is complete; an existing folder is returned unchanged. Raises `DataError` for absolute
    names and names that lead out of the folder, links, devices, sparse and encrypted members, names that occur twice or
    differ only in case, and anything above `limits`, whether declared or found while unpacking; also for a damaged
    archive. Raises `StorageError` for a folder that cannot be written. No error leaves files behind.
    """
    try:
        make_folder(target.parent)
        with lease(Path(f"{target}.lock")) as held:
            if not target.exists():  # another process may have unpacked it while we waited
                with temporary_folder(target) as folder:
                    _unpack(archive, folder, limits)
                    held.check()
                    os.replace(folder, target)
    except OSError as error:
        raise storage_error(target, error) from error
    return target


def _unpack(archive: Path, folder: Path, limits: Limits) -> None:
    with _damaged(archive):
        checks = _Checks(archive, limits)
        for member in _members(archive, limits):
            path = folder / checks.place(member)
            if member.is_folder:
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            source = member.open()
            assert source is not None  # member is a file here
            with source, open(path, "xb") as sink:
                while block := source.read(_CHUNK):
                    checks.add(len(block), member.name)
                    sink.write(block)
        if not any(folder.iterdir()):
            raise ValueError("it holds no files")


def _members(archive: Path, limits: Limits) -> Iterator[_Member]:
    if _is_tar(archive, limits):
        with capped_tar(archive, limits) as tar:
            for info in tar:
                if not (info.isreg() or info.isdir()) or info.issparse():
                    raise _refused(archive, f"its member {info.name[:200]!r} is a link or a special file")
                yield _Member(info.name, info.size, info.isdir(), partial(tar.extractfile, info))
            check_end(tar)
    elif zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            check_zip(file, archive, limits)
            for entry in file.infolist():
                # Python cuts a name at its first zero byte; names with one are refused below.
                name = entry.orig_filename if "\0" in entry.orig_filename else entry.filename
                yield _Member(name, entry.file_size, entry.is_dir(), partial(file.open, entry))
    elif archive.suffix.lower() == ".gz":
        yield _Member(archive.stem, 0, False, cast("Callable[[], IO[bytes]]", partial(gzip.open, archive)))
    else:
        raise ValueError("it is not a tar, zip or gz archive")


def _is_tar(path: Path, limits: Limits) -> bool:
    try:
        with capped_tar(path, limits):
            return True
    except tarfile.ReadError:
        return False


def check_zip(file: zipfile.ZipFile, path: Path, limits: Limits = DEFAULT) -> None:
    """Raise `DataError` for a zip with declared sizes above `limits`, or with links, special or encrypted members.

    Python reads no more of a member than its declared size, so the declared sizes are upper bounds.
    """
    checks, total = _Checks(path, limits), 0
    for entry in file.infolist():
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refused(path, f"its member {entry.filename!r} is a link or a special file")
        if entry.flag_bits & 1:
            raise _refused(path, f"its member {entry.filename!r} is encrypted")
        total += entry.file_size
        checks.bound(total, entry.filename)


class _Checks:
    """Checks of the members of one archive, in order."""

    def __init__(self, archive: Path, limits: Limits) -> None:
        self._archive, self._limits = archive, limits
        self._compressed = archive.stat().st_size
        self._members = self._bytes = 0
        self._seen: dict[str, tuple[str, bool]] = {}  # folded name -> (name, is a file), with parent folders

    def place(self, member: _Member) -> PurePosixPath:
        """The path of a member, relative to the target; raises `DataError` if the member is refused."""
        name, shown = member.name, repr(member.name[:200])
        self._members += 1
        if self._members > self._limits.members:
            raise _refused(self._archive, f"it has more than {self._limits.members:,} members")
        windows = PureWindowsPath(name)  # splits at both kinds of slash and detects drives and shares
        if windows.anchor or ".." in windows.parts:
            raise _refused(self._archive, f"its member {shown} leads out of the folder")
        path = PurePosixPath(name)
        if "\\" in name or any(ord(letter) < 32 for letter in name) or (path == _HERE and not member.is_folder):
            raise _refused(self._archive, f"its member {shown} has a name that is no file name everywhere")
        if member.size < 0:
            raise _refused(self._archive, f"its member {shown} declares a negative size")
        self.bound(self._bytes + member.size, name)
        for part in (path, *path.parents[:-1]):
            is_file = part == path and not member.is_folder
            folded = unicodedata.normalize("NFC", str(part)).casefold()
            spelling, was_file = self._seen.get(folded, (str(part), None))
            if spelling != str(part):
                raise _refused(self._archive, f"its members {spelling[:200]!r} and {shown} differ only in case")
            if was_file or (is_file and was_file is not None):
                raise _refused(self._archive, f"its member {shown} is there twice")
            self._seen[folded] = (spelling, is_file)
        return path

    def add(self, count: int, name: str) -> None:
        """Count unpacked bytes."""
        self._bytes += count
        self.bound(self._bytes, name)

    def bound(self, total: int, name: str) -> None:
        if total > self._limits.size:
            raise _refused(self._archive, f"with {name[:200]!r} it unpacks to more than {self._limits.size:,} bytes")
        if total > max(_SMALL, self._limits.ratio * self._compressed):
            raise _refused(
                self._archive,
                f"with {name[:200]!r} it unpacks to more than {self._limits.ratio} times its own size, as bombs do",
            )


@contextmanager
def capped_tar(
    path: Path, limits: Limits = DEFAULT, region: tuple[int, int] | None = None
) -> Iterator[tarfile.TarFile]:
    """Open a tar for sequential reading; raises `DataError` once it decompresses to far more than `limits` allow.

    `region` is the first byte and the length of a tar that lies inside a file and is not compressed.
    """
    with (
        _decompressed(path) if region is None else cast(IO[bytes], _Region(path, *region)) as raw,
        tarfile.open(fileobj=cast(IO[bytes], _Capped(raw, path, limits)), mode="r:") as tar,
    ):
        yield tar


def check_end(tar: tarfile.TarFile) -> None:
    """Raise `EOFError` if a tar of `capped_tar`, read to its last member, has no end: tarfile accepts a missing one."""
    end = cast(_Capped, tar.fileobj).last
    if any(end) or not end:
        raise EOFError("it ends in the middle")


def read_member(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path, most: int) -> bytes:
    """The content of one file of a tar; raises `DataError` if it has more than `most` bytes."""
    if not 0 <= member.size <= most or member.issparse():
        raise _refused(path, f"its member {member.name[:200]!r} has more than {most:,} bytes")
    stream = tar.extractfile(member)
    return b"".join(iter(partial(stream.read, _CHUNK), b"")) if stream is not None else b""


def _decompressed(path: Path) -> IO[bytes]:
    with open(path, "rb") as file:
        start = file.read(6)
    openers: dict[bytes, Callable[[Path], object]] = {
        b"\x1f\x8b": gzip.open,
        b"BZh": bz2.open,
        b"\xfd7zXZ\0": lzma.open,
    }
    for magic, opener in openers.items():
        if start.startswith(magic):
            return cast(IO[bytes], opener(path))
    return open(path, "rb")


class _Region(io.RawIOBase):
    """A part of a file as a file of its own."""

    def __init__(self, path: Path, start: int, length: int) -> None:
        self._file, self._start, self._length = open(path, "rb"), start, length  # noqa: SIM115 - closed by `close`
        self._file.seek(start)

    def tell(self) -> int:
        return self._file.tell() - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(self._start + offset) - self._start

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._length - self.tell())
        return self._file.read(left if size < 0 else min(size, left))

    def close(self) -> None:
        self._file.close()
        super().close()


class _Capped(io.RawIOBase):
    """A forward-only stream with a limit on the total and on each read.

    Headers of a tar may declare any length and are read into memory at once, before they can be checked; damaged
    headers may point backwards.
    """

    _PIECE = 8 << 20

    def __init__(self, stream: IO[bytes], path: Path, limits: Limits) -> None:
        self._stream, self._path, self._at = stream, path, stream.tell()
        self._end = min(limits.size + _HEADERS * limits.members, max(_SMALL, limits.ratio * path.stat().st_size))
        self.last = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence != os.SEEK_SET or offset < self._at:
            raise _refused(self._path, "its headers point backwards")
        self._allow(offset)
        self._at = self._stream.seek(offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self._PIECE:
            raise _refused(self._path, "one of its headers is longer than any name can be")
        self._allow(self._at + size)
        data = self._stream.read(size)
        self._at += len(data)
        self.last = data
        return data

    def _allow(self, position: int) -> None:
        if position > self._end:
            raise _refused(self._path, "it decompresses to far more than its size allows, as bombs do")


def _refused(archive: Path, why: str) -> DataError:
    return DataError(f"{archive} is refused: {why}; delete it, and get it from a source you trust.")


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """Turn errors of the standard library for a damaged archive into a `DataError` with the path and the fix."""
    try:
        yield
    except (*_DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL) and error.filename != str(path):
            raise  # an error of the target disk; those of gzip and of bad seeks have no errno or EINVAL
        raise DataError(
            f"Cannot unpack {path}: it is truncated, damaged or in another format ({error}); delete it and run again."
        ) from error
