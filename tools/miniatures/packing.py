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
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)


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
    """A tar that is not compressed, in memory.

    A name that ends in a slash is a folder; the name "PATH -> TARGET" is a symbolic link.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in content.items():
            name, _, target = name.partition(" -> ")
            member = tarfile.TarInfo(name.rstrip("/"))
            member.size = len(data)
            if name.endswith("/"):
                member.type = tarfile.DIRTYPE
            elif target:
                member.type, member.linkname = tarfile.SYMTYPE, target
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


def compress_bytes(data: bytes, clear_every: int = 0) -> bytes:
    """A .Z file, as Unix's `compress` writes it; the table is emptied after every `clear_every` codes, never if 0."""
    header = b"\x1f\x9d" + bytes((0x80 | 16,))
    packed, group = bytearray(header), []
    table: dict[bytes, int] = {}
    width, size, since, text = 9, 257, 0, b""

    def put(code: int, ends: bool) -> None:
        group.append(code)
        if len(group) == 8 or ends:
            value = sum(each << place * width for place, each in enumerate(group))
            packed.extend(value.to_bytes(width, "little"))
            group.clear()

    for value in data:
        longer = text + bytes((value,))
        if len(longer) == 1 or longer in table:
            text = longer
            continue
        grows = size == 1 << width and width < 16
        put(table[text] if len(text) > 1 else text[0], grows)
        width, since = width + grows, since + 1
        if size < 1 << 16:
            table[longer], size = size, size + 1
        text = longer[-1:]
        if clear_every and since == clear_every:
            put(256, True)
            table, width, size, since = {}, 9, 257, 0
    if text:
        put(table[text] if len(text) > 1 else text[0], False)
    if group:
        bits = len(group) * width
        value = sum(each << place * width for place, each in enumerate(group))
        packed.extend(value.to_bytes((bits + 7) // 8, "little"))
    return bytes(packed)
