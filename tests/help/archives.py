"""Archives of every kind, for tests of what unpacks and reads them."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any


def entry(name: str, **values: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in values.items():
        setattr(info, key, value)
    return info


def tar(path: Path, *members: tuple[tarfile.TarInfo | str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for named, data in members:
            info = entry(named) if isinstance(named, str) else named
            info.size = info.size or len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def zipped(path: Path, *members: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def zip_entry(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def header_that_fills_memory(path: Path) -> Path:
    """A long name of 16 MB: tarfile reads it in one piece before it shows any member."""
    size = 16 << 20
    info = entry("././@LongLink", type=tarfile.GNUTYPE_LONGNAME, size=size)
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(info.tobuf(tarfile.GNU_FORMAT) + b"a" * size + bytes(1024))
    return path


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
