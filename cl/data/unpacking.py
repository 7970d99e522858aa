"""Files of the cache that are made from archives, and what identifies the content of a file without reading it.

The name of each entry of CLBENCH_HOME/unpacked holds a hash of what it was made from. Its files have other times and
inodes in every cache, so the name stands for them: the same archive gives the same keys everywhere.
"""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from cl.data.archives import safe_extract
from cl.data.reads import text_of
from cl.errors import DataError
from cl.files import replace_file
from cl.paths import home, writable_cache

MOST = 1 << 31
"""Maximum bytes of one file."""
DAMAGE = (OSError, EOFError, ValueError, zipfile.BadZipFile, tarfile.TarError, zlib.error)


def made_from(path: Path) -> str:
    """The name of the entry of CLBENCH_HOME/unpacked that a path is or lies in; empty for any other path."""
    real = path.resolve()
    for cache in (home(), writable_cache()):
        top = (cache / "unpacked").resolve()
        if real != top and real.is_relative_to(top):
            return real.relative_to(top).parts[0]
    return ""


def stamp_of(path: Path, made: str) -> str:
    """What changes if the content of a file does; `made` is `made_from` of it, or of a folder that it is in."""
    status = path.stat()
    return f"{made} {status.st_size}" if made else text_of(status)


def unpacked(path: Path) -> Path:
    """The folder of the cache with the content of an archive (see `cl.data.archives`), which is unpacked once."""
    key = hashlib.sha256(f"{path.name} {stamp_of(path, made_from(path))}".encode()).hexdigest()[:16]
    target = home() / "unpacked" / f"{path.name}-{key}"
    if not target.exists():
        target = writable_cache() / "unpacked" / target.name
    return safe_extract(path, target)


def copied(name: str, content: bytes, identity: str) -> Path:
    """A file of the cache with the content of an archive that is inside another one."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    return cached(name, len(content), identity, write)


def cached(name: str, size: int, identity: str, write: Callable[[Path], None]) -> Path:
    """A file of the cache that `write` makes once, named by what identifies its content; it has `size` bytes."""
    key = hashlib.sha256(f"{name} {identity}".encode()).hexdigest()[:16]
    path = writable_cache() / "unpacked" / f"{key}-{PurePosixPath(name).name}"
    if not path.is_file() or path.stat().st_size != size:
        with damaged(f"{name} of {identity.split()[0]}"):
            replace_file(path, write, durable=False)
    return path


@contextmanager
def damaged(what: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{what} disappeared while it was read; put it back and run again.") from error
    except PermissionError:
        raise  # the file is whole as far as we know
    except DAMAGE as error:
        raise DataError(f"Cannot read {what}: it is truncated or damaged ({error}); get it again.") from error
