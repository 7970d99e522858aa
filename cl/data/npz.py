"""Arrays of an .npz file that need not fit into memory: their shapes without reading them, and their content mapped."""

from __future__ import annotations

import shutil
import struct
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from cl.data.unpacking import cached

_LOCAL = struct.Struct("<26xHH")
"""Of the header before a member of a zip: the lengths of its name and of its extra field."""
_BLOCK = 1 << 20


def size_of(pack: zipfile.ZipFile, name: str) -> int:
    """Bytes of an array; 0 if there is none of this name."""
    member = f"{name}.npy"
    return pack.getinfo(member).file_size if member in pack.namelist() else 0


def shape_of(pack: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    """The shape of an array. Raises `ValueError` for anything but uint8 in C order."""
    with pack.open(f"{name}.npy") as file:
        return _header(file, name)


def mapped(path: Path, name: str) -> np.ndarray:
    """An array of uint8, mapped into memory; a compressed one is unpacked into the cache first.

    Its checksum is compared, for which it is read once. Raises as `zipfile`, and as `shape_of`.
    """
    with zipfile.ZipFile(path) as pack:
        entry = pack.getinfo(f"{name}.npy")
        if entry.compress_type != zipfile.ZIP_STORED:

            def write(temporary: Path) -> None:
                with pack.open(entry) as member, open(temporary, "wb") as copy:
                    shutil.copyfileobj(member, copy, _BLOCK)

            path = cached(entry.filename, entry.file_size, f"{path} {entry.file_size} {entry.CRC:08x}", write)
            start = 0
        else:
            with pack.open(entry) as member:
                while member.read(_BLOCK):  # which compares the checksum at the end
                    pass
            with open(path, "rb") as file:
                file.seek(entry.header_offset)
                start = entry.header_offset + _LOCAL.size + sum(_LOCAL.unpack(file.read(_LOCAL.size)))
    with open(path, "rb") as file:
        file.seek(start)
        shape = _header(file, name)
        return np.memmap(path, np.uint8, "r", offset=file.tell(), shape=shape)


def _header(file: IO[bytes], name: str) -> tuple[int, ...]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype != np.uint8 or fortran:
        raise ValueError(f"`{name}` is not uint8 in C order")
    return shape
