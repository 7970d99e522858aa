"""CASIA-HWDB1.1: handwritten characters of 300 people: 3,755 Chinese characters and 171 letters, digits and symbols.

The authors' training people (parts 1 and 2) and test people. Images are grey, of different sizes, dark on white.

Differs from NEVIS'22's code: images are as published, there light on black.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from cl.data.official.files import Files
from cl.data.official.listing import Examples, Listing
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.data.store import PixelArray
from cl.errors import DataError

_SITE = "http://www.nlpr.ia.ac.cn/databases/Download/Offline/CharData/"
_PARTS = {"Gnt1.1TrainPart1": "train", "Gnt1.1TrainPart2": "train", "Gnt1.1Test": "test"}
_HEAD = struct.Struct("<I2sHH")
"""What is before the pixels of a character: length of the record, code, width, height."""


def _read(files: Files) -> Listing:
    """A .gnt file for each person: records of a character each, one after the other, with the character's GB code."""
    people: dict[str, list[tuple[str, np.ndarray]]] = {split: [] for split in _PARTS.values()}
    for name, found in files.match(r"(Gnt1\.1\w+)/(?:.*/)?[^/]+\.gnt"):
        if found[1] in _PARTS:
            people[_PARTS[found[1]]].append((name, _records(files.read(name), name, files.where)))
    every = [rows[:, 1] for named in people.values() for _, rows in named]
    codes = np.unique(np.concatenate(every)) if every else np.empty(0, np.int64)
    splits = {split: _examples(files, named, codes) for split, named in people.items() if named}
    return Listing(tuple(_character(code) for code in codes.tolist()), splits)


def _records(data: bytes, name: str, where: str) -> np.ndarray:
    """For each character of a file: first pixel, code, width and height, int64 [N, 4]. Raises `DataError`."""
    rows, place = [], 0
    while place + _HEAD.size <= len(data):
        length, code, width, height = _HEAD.unpack_from(data, place)
        if length != _HEAD.size + width * height:
            raise DataError(f"{name} of {where} is damaged after {place:,} bytes; get its archive again.")
        rows.append((place + _HEAD.size, int.from_bytes(code, "big"), width, height))
        place += length
    if place != len(data):
        raise DataError(f"{name} of {where} ends in the middle of a character; get its archive again.")
    return np.array(rows, np.int64).reshape(-1, 4)


def _examples(files: Files, named: list[tuple[str, np.ndarray]], codes: np.ndarray) -> Examples:
    names = [name for name, _ in named]
    rows = np.concatenate([rows for _, rows in named])
    file = np.repeat(np.arange(len(named)), [len(rows) for _, rows in named])
    content = lru_cache(maxsize=4)(files.read)  # images are decoded in order, and a file has thousands

    def decode(index: int) -> PixelArray:
        start, _, width, height = rows[index].tolist()
        pixels = np.frombuffer(content(names[file[index]]), np.uint8, width * height, start)
        return pixels.reshape(height, width, 1)

    def identity() -> Iterable[str]:
        for name in names:
            yield f"{name}\t{files.stamp(name)}"

    return Examples(np.searchsorted(codes, rows[:, 1]), decode, identity)


def _character(code: int) -> str:
    """The character of a GB code; letters and digits have it in their first byte. A code of none is its own name."""
    data = code.to_bytes(2, "big").rstrip(b"\0")
    try:
        return data.decode("gb18030")
    except UnicodeDecodeError:
        return f"0x{code:04x}"


def _part(name: str, md5: str, size: int = 0) -> OfficialFile:
    return OfficialFile(f"{name}.zip", (f"{_SITE}{name}.zip",), size, md5, holds=(name,), into=name)


RELEASE = Release(
    name="casia_hwdb",
    title="CASIA-HWDB1.1",
    files=(
        _part("Gnt1.1TrainPart1", "72bac7b6a5ce37f184f277421adfacfd"),
        _part("Gnt1.1TrainPart2", "a8b76e4eccfb1fd8d56c448f6a096c27", 966_309_492),
        _part("Gnt1.1Test", "e74f9a4863e73d8b80ed402452c97448", 479_659_120),
    ),
    read=_read,
    classes=3_926,
    images=1_172_907,
    licence="academic research",
    citation="Liu, Yin, Wang, Wang, CASIA Online and Offline Chinese Handwriting Databases, ICDAR 2011",
    page="http://www.nlpr.ia.ac.cn/databases/handwriting/Offline_database.html",
    checked=HANDLERS,
)
