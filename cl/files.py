"""Atomic writes: after a kill or a full disk a file is whole, either the old or the new one."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from cl.commits import Guard, commit
from cl.errors import StorageError

_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_IN_THE_WAY = {errno.ENOTDIR, errno.EEXIST}


def storage_error(path: Path, error: OSError) -> StorageError:
    """Turn an `OSError` from writing `path` into one sentence that names the fix."""
    if error.errno in _FULL:
        fix = "the disk is full or a file-size limit was reached; free space, then run the same command to continue"
    elif error.errno == errno.ENAMETOOLONG:
        fix = "the path is too long; choose a shorter one with --results or CLBENCH_RESULTS"
    elif error.errno in _IN_THE_WAY:
        fix = "a file is in the place of a folder; move it, or choose another with --results or CLBENCH_RESULTS"
    elif error.errno in _DENIED:
        fix = "the folder is not writable; choose another with --results or CLBENCH_RESULTS, or change its permissions"
    else:
        fix = error.strerror or str(error)
    return StorageError(f"cannot write {path}: {fix}.")


def make_folder(path: Path) -> Path:
    """Create a folder and its parents; raises `StorageError` if that is not possible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error
    return path


def replace_file(path: Path, write: Callable[[Path], None], *, durable: bool = True) -> None:
    """Write a temporary file next to `path` and rename it over `path` once it is on disk.

    `write` receives the temporary path. Without `durable` a power cut may leave a file that is not whole, which suits
    files that are checked when they are read and can be computed again. Raises `StorageError` and keeps the old file if
    anything fails. In a folder that this process holds (`cl.commits`), `write` is called again after an outage of the
    disk, and `RunInUse` is raised if another process holds it now.
    """

    temporary: Path | None = None

    def replace(guard: Guard | None) -> None:
        nonlocal temporary
        _make_below(path.parent, None if guard is None else guard.folder)
        if temporary is None:  # an outage may have kept the file of the attempt before: this one writes it again
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
            temporary = Path(name)
            os.close(handle)
        write(temporary)
        _make_usual(temporary)
        if durable:
            _sync(temporary)
        if guard is not None:
            guard.check()  # again: writing may have taken long
        os.replace(temporary, path)
        if durable:
            _sync_folder(path.parent)

    try:
        commit(path, replace)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def move(path: Path, target: Path) -> None:
    """Rename a file within its folder, if it is there; raises as `replace_file` does."""

    def rename(guard: Guard | None) -> None:
        try:
            os.replace(path, target)
        except FileNotFoundError:
            if guard is not None:
                os.stat(guard.folder)

    try:
        commit(path, rename)
    except OSError as error:
        raise storage_error(path, error) from error


def _make_below(folder: Path, held: Path | None) -> None:
    """Create a folder and its parents; not those of a folder that is held, which are there unless its disk is away."""
    if held is None:
        folder.mkdir(parents=True, exist_ok=True)
    elif Path(os.path.abspath(folder)) != held:
        _make_below(folder.parent, held)
        folder.mkdir(exist_ok=True)


def _make_usual(path: Path) -> None:
    """Give a temporary file the permissions that a file usually gets."""
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(path, 0o666 & ~umask)


def _sync(path: Path) -> None:
    """Wait until the content of a file is on disk."""
    with open(path, "rb") as stream:
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; skipped on Windows, which cannot open folders."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Atomically replace `path` with `data`; `durable` as in `replace_file`."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(data)

    replace_file(path, write, durable=durable)


def write_text(path: Path, text: str) -> None:
    """Atomically replace `path` with UTF-8 `text`; what UTF-8 cannot encode becomes escapes, as in JSON."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def remove_temporaries(folder: Path) -> None:
    """Delete temporary files that a killed process left in `folder`."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(stream)


def _digest(stream: BinaryIO) -> str:  # Python 3.10 has no hashlib.file_digest
    digest = hashlib.sha256()
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
