"""Decoding of many images into files: bounded memory, and work that a kill leaves is continued.

Images are written in canonical order: label by label, within a label by the hash of the pixels. A label whose images
fit into memory is decoded, sorted and appended. A larger one is decoded piece by piece into a second file and copied
from there in order. A journal names what is complete, with a checksum of its bytes.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import xxhash

from cl.data.images import UnreadableImage, unreadable
from cl.data.progress import Bar
from cl.data.store import Fingerprint, HashArray, IndexArray, PixelArray, Progress, pixel_hashes, short_hashes

Decode = Callable[[int], PixelArray]

PIECE = 256 << 20
"""Bytes of decoded images that are held in memory at a time, about."""
TOGETHER = 16 << 20
"""Bytes of labels that are written at a time."""
_SLICE = 32
"""Images that a thread decodes at a time."""

PIXELS, SPILL, JOURNAL, HASHES, ORDER = "pixels.npy", "spill", "journal", "hashes", "order"
_FILES = (PIXELS, ORDER, HASHES)


@dataclass(frozen=True, eq=False)
class Written:
    """What was written: original indices and hashes of the rows, the fingerprint, and a hash of the pixels alone."""

    shape: tuple[int, ...]
    order: IndexArray
    hashes: HashArray
    fingerprint: str
    pixels: str


def blocks(
    what: str, labels: IndexArray, decode: Decode, progress: Progress | None
) -> Iterator[tuple[PixelArray, IndexArray, HashArray]]:
    """Decoded images in canonical order with original indices and hashes, one label at a time, all in memory."""
    with _pool() as pool, Bar(f"decode {what}", len(labels), progress) as bar:
        for rows in _by_label(labels):
            block = _decoded(pool, decode, rows, bar)
            names = pixel_hashes(block)
            order = np.argsort(names, kind="stable")
            yield block[order], rows[order], short_hashes(names[order])


def write(folder: Path, what: str, labels: IndexArray, decode: Decode, progress: Progress | None) -> Written:
    """Decode into `pixels.npy` of a folder, or go on where a killed process stopped there.

    Uses ordinary writes: a full disk is then an exception; with a memory map it is a bus error.
    """
    state = _State.open(folder, labels, decode)
    with (
        _pool() as pool,
        Bar(f"decode {what}", len(labels), progress, done=state.done + state.spilled) as bar,
    ):
        for group in _groups(_by_label(labels)[state.labels :], state.each):
            if len(group) > 1 or len(group[0]) * state.each <= PIECE:
                rows = np.concatenate(group)
                block = _decoded(pool, decode, rows, bar)
                names = pixel_hashes(block)
                order = np.lexsort((names, labels[rows]))
                state.append([block[order]], rows[order], names[order], len(group))
            else:
                _large(state, pool, decode, group[0], bar)
    return state.finish(labels)


def _groups(rows: Sequence[IndexArray], each: int) -> Iterator[list[IndexArray]]:
    """Labels that are written together, because thousands of small writes to the disk take longer than decoding."""
    group: list[IndexArray] = []
    for label in rows:
        if group and sum(map(len, [*group, label])) * each > TOGETHER:
            yield group
            group = []
        group.append(label)
    if group:
        yield group


def _large(state: _State, pool: ThreadPoolExecutor, decode: Decode, rows: IndexArray, bar: Bar) -> None:
    """One label with more images than fit into memory."""
    step = max(1, PIECE // state.each)
    for start in range(state.spilled, len(rows), step):
        state.spill(_decoded(pool, decode, rows[start : start + step], bar))
    names = state.spilled_names
    order = np.argsort(names, kind="stable")
    spilled = np.memmap(state.folder / SPILL, np.uint8, "r", shape=(len(rows), *state.shape[1:]))
    chunks = (np.asarray(spilled[order[start : start + step]]) for start in range(0, len(rows), step))
    state.append(chunks, rows[order], names[order], 1)
    del spilled
    state.clear_spill()


@dataclass
class _State:
    """The files of one decoding: the labels and rows that are complete, and the pieces of a label in the spill."""

    folder: Path
    shape: tuple[int, ...]
    labels: int = 0
    done: int = 0
    digest: Fingerprint = field(init=False)
    quick: Any = field(default_factory=xxhash.xxh3_128)
    pieces: list[int] = field(default_factory=list)  # rows of each piece in the spill

    def __post_init__(self) -> None:
        self.digest = Fingerprint(self.shape)

    @property
    def each(self) -> int:
        """Bytes of an image."""
        return int(np.prod(self.shape[1:]))

    @property
    def spilled(self) -> int:
        return sum(self.pieces)

    @property
    def spilled_names(self) -> np.ndarray:
        return np.fromfile(self.folder / f"{SPILL}.{HASHES}", dtype="S40", count=self.spilled)

    @classmethod
    def open(cls, folder: Path, labels: IndexArray, decode: Decode) -> _State:
        """The state that a killed process left, checked byte by byte, or a new one."""
        about = _sum(np.ascontiguousarray(labels, "<i8").tobytes())
        lines = _lines(folder / JOURNAL)
        if lines and lines[0].get("about") == about:
            state = cls(folder, tuple(lines[0]["shape"]))
            state._continue(lines[1:])
            return state
        first = _by_label(labels)[0][0]
        state = cls(folder, (len(labels), *decode(int(first)).shape))
        with open(folder / PIXELS, "wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": state.shape})
        for name in (ORDER, HASHES):
            (folder / name).write_bytes(b"")
        state.clear_spill()
        (folder / JOURNAL).write_bytes(b"")
        state._log({"about": about, "shape": state.shape})
        return state

    def _continue(self, lines: list[dict[str, Any]]) -> None:
        kept, pieces = list[dict[str, Any]](), list[dict[str, Any]]()
        with ExitStack() as stack:
            pixels, order, hashes = (stack.enter_context(open(self.folder / each, "rb")) for each in _FILES)
            _after_header(pixels)
            start = pixels.tell()
            for line in lines:
                if "piece" in line:
                    pieces.append(line)
                elif _sum(order.read(line["rows"] * 8), hashes.read(line["rows"] * 40)) == line["rest"] and (
                    self._read_back(pixels, line["rows"], line["sum"])
                ):
                    self.labels, self.done = self.labels + line["labels"], self.done + line["rows"]
                    kept, pieces = [*kept, line], []
                else:
                    break
        for name, size in zip(_FILES, (start + self.done * self.each, self.done * 8, self.done * 40), strict=True):
            os.truncate(self.folder / name, size)
        kept += self._check_spill(pieces)
        head = _lines(self.folder / JOURNAL)[:1]
        (self.folder / JOURNAL).write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in head + kept))

    def _read_back(self, file: BinaryIO, rows: int, expected: str) -> bool:
        """Feed the digests with what was written; False, and nothing fed, if it is not what the journal says."""
        start, total = file.tell(), rows * self.each
        if _sum_of_file(file, total) != expected:
            return False
        file.seek(start)
        for data in _chunks(file, total):
            self.digest.update(np.frombuffer(data, np.uint8))
            self.quick.update(data)
        return True

    def _check_spill(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The lines of the pieces that are whole; the spill is cut after them."""
        whole: list[dict[str, Any]] = []
        path, names = self.folder / SPILL, self.folder / f"{SPILL}.{HASHES}"
        if lines and path.is_file() and names.is_file():
            with open(path, "rb") as file, open(names, "rb") as hashes:
                for line in lines:
                    rest = _sum(hashes.read(line["piece"] * 40))
                    if rest != line["rest"] or _sum_of_file(file, line["piece"] * self.each) != line["sum"]:
                        break
                    whole.append(line)
        self.pieces = [line["piece"] for line in whole]
        if not whole:
            self.clear_spill()
            return []
        os.truncate(path, self.spilled * self.each)
        os.truncate(names, self.spilled * 40)
        return whole

    def append(self, parts: Iterable[PixelArray], rows: IndexArray, names: np.ndarray, labels: int) -> None:
        """Add the images of the next labels, in order."""
        found = xxhash.xxh3_128()
        with open(self.folder / PIXELS, "ab") as file:
            for block in parts:
                data = np.ascontiguousarray(block).reshape(-1).data
                file.write(data)
                found.update(data)
                self.digest.update(block)
                self.quick.update(data)
            sync(file)
        rest = rows.astype("<i8").tobytes(), names.astype("S40").tobytes()
        for name, content in zip((ORDER, HASHES), rest, strict=True):
            with open(self.folder / name, "ab") as file:
                file.write(content)
                sync(file)
        self.labels, self.done = self.labels + labels, self.done + len(rows)
        self._log({"labels": labels, "rows": len(rows), "sum": found.hexdigest(), "rest": _sum(*rest)})

    def spill(self, block: PixelArray) -> None:
        """Add a piece of a label that does not fit into memory, in the order of decoding."""
        data, names = block.reshape(-1).data, pixel_hashes(block).astype("S40").tobytes()
        for name, content in ((SPILL, data), (f"{SPILL}.{HASHES}", names)):
            with open(self.folder / name, "ab") as file:
                file.write(content)
                sync(file)
        self.pieces.append(len(block))
        self._log({"piece": len(block), "sum": _sum(data), "rest": _sum(names)})

    def clear_spill(self) -> None:
        """Forget the pieces."""
        self.pieces = []
        for name in (SPILL, f"{SPILL}.{HASHES}"):
            (self.folder / name).unlink(missing_ok=True)

    def finish(self, labels: IndexArray) -> Written:
        """Remove the files of the decoding, but not the pixels."""
        order = np.fromfile(self.folder / ORDER, dtype="<i8").astype(np.int64)
        names = np.memmap(self.folder / HASHES, "S40", "r")  # 40 bytes of each image, of which eight are kept
        hashes = short_hashes(names)
        del names
        for name in (ORDER, HASHES, JOURNAL):
            (self.folder / name).unlink()
        fingerprint = self.digest.finish(np.sort(labels))
        return Written(self.shape, order, hashes, fingerprint, self.quick.hexdigest())

    def _log(self, line: dict[str, Any]) -> None:
        with open(self.folder / JOURNAL, "ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
            sync(file)


def _lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a journal; the last one may have been cut by a kill."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def _sum(*parts: Any) -> str:
    """A checksum of bytes."""
    digest = xxhash.xxh3_128()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _sum_of_file(file: BinaryIO, total: int) -> str:
    """The checksum of the next `total` bytes of a file; empty if it has fewer."""
    digest, start = xxhash.xxh3_128(), file.tell()
    for data in _chunks(file, total):
        digest.update(data)
    return digest.hexdigest() if file.tell() - start == total else ""


def _after_header(file: BinaryIO) -> None:
    version = np.lib.format.read_magic(file)
    assert version == (1, 0), "written by us"
    np.lib.format.read_array_header_1_0(file)


def _chunks(file: BinaryIO, total: int) -> Iterator[bytes]:
    while total > 0 and (data := file.read(min(total, 8 << 20))):
        total -= len(data)
        yield data


def _by_label(labels: IndexArray) -> list[IndexArray]:
    """The indices of the images of each label, labels ascending."""
    by_label = np.argsort(labels, kind="stable")
    bounds = np.flatnonzero(np.diff(labels[by_label], prepend=-1, append=-1))
    return [by_label[start:stop] for start, stop in pairwise(bounds)]


def _decoded(pool: ThreadPoolExecutor, decode: Decode, rows: IndexArray, bar: Bar) -> PixelArray:
    slices = [rows[at : at + _SLICE] for at in range(0, len(rows), _SLICE)]
    parts: list[PixelArray] = []
    for part in pool.map(lambda indices: np.stack([decode(int(index)) for index in indices]), slices):
        parts.append(part)
        bar.add(len(part))
    return np.concatenate(parts)


@contextmanager
def _pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield pool


def naming_all(decode: Decode, count: int) -> Decode:
    """`decode`, whose error names every image that cannot be read, and not only the first."""
    errors: list[UnreadableImage] = []
    lock = threading.Lock()

    def checked(index: int) -> PixelArray:
        try:
            return decode(index)
        except UnreadableImage:
            with lock:  # several threads meet a damaged image at the same time
                for each in range(count) if not errors else ():
                    try:
                        decode(each)
                    except UnreadableImage as error:
                        errors.append(error)
            raise unreadable(errors) from None

    return checked


def sync(file: BinaryIO) -> None:
    """Bring a file to the disk."""
    file.flush()
    os.fsync(file.fileno())
