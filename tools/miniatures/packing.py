"""Archives of generated files, the same bytes at every run."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path


def write_zip(path: Path, content: Mapping[str, bytes]) -> None:
    """A zip with these members; a name that ends in a slash is a folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name), data)


def write_tar(path: Path, content: Mapping[str, bytes]) -> None:
    """A tar with these members; its name says how it is compressed (.tar, .tar.gz, .tgz, .tar.bz2, .tar.xz)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = tar_bytes(content)
    if path.suffix in (".gz", ".tgz"):
        data = gzip.compress(data, mtime=0)
    elif path.suffix == ".bz2":
        data = bz2.compress(data)
    elif path.suffix == ".xz":
        data = lzma.compress(data)
    path.write_bytes(data)


def tar_bytes(content: Mapping[str, bytes]) -> bytes:
    """A tar that is not compressed, in memory; a name that ends in a slash is a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name.rstrip("/"))
            member.size = len(data)
            if name.endswith("/"):
                member.type = tarfile.DIRTYPE
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def write_gz(path: Path, data: bytes) -> None:
    """One file compressed with gzip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data, mtime=0))


def write_files(folder: Path, content: Mapping[str, bytes]) -> None:
    """Plain files below a folder."""
    for name, data in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def mat_bytes(variables: Mapping[str, object]) -> bytes:
    """A MATLAB file of version 5."""
    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, dict(variables), do_compression=True)
    return buffer.getvalue()
