"""The cache of decoded images: files are decoded once, saved as uint8 arrays, and memory-mapped afterwards."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock

from cl.data.progress import Bar
from cl.data.store import Fingerprint, ImageStore, IndexArray, PixelArray, Progress, pixel_hashes
from cl.paths import home

log = logging.getLogger("clbench.data")
Decode = Callable[[int], PixelArray]


def decoded_store(
    what: str, key: str, labels: IndexArray, source: Callable[[], Decode], progress: Progress | None = None
) -> ImageStore:
    """The store of N encoded images: from the cache if it is there, else decoded and cached.

    `key` identifies the content (hashes of the files, version of the reader). `source()` is called only if images must
    be decoded. It returns `decode(i)`, which gives image i as uint8 [H, W, C], is called from several threads, and
    raises `DataError` for an unreadable image. If the cache cannot be written, the images stay in memory and a warning
    says why.
    """
    return decoded_in_order(what, key, labels, source, progress)[0]


def decoded_in_order(
    what: str, key: str, labels: IndexArray, source: Callable[[], Decode], progress: Progress | None = None
) -> tuple[ImageStore, IndexArray]:
    """As `decoded_store`, with the original index i of each row of the store, int64 [N]."""
    labels = np.asarray(labels, dtype=np.int64)
    folder = home() / "decoded" / key
    found = _open(folder)
    if found is not None:
        return found
    decode = source()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):  # concurrent runs decode only once
            found = _open(folder)
            if found is None:
                with temporary_folder(folder) as temporary:
                    _write(temporary, what, labels, decode, progress)
                    _publish(temporary, folder)
                found = _open(folder)
        if found is None:
            raise OSError(f"{folder} cannot be read back")
        return found
    except OSError as error:
        log.warning(
            "Decoded images of %s stay in memory: the cache %s cannot be written (%s).", what, folder.parent, error
        )
    return _in_memory(what, labels, decode, progress)


def _blocks(
    what: str, labels: IndexArray, decode: Decode, progress: Progress | None
) -> Iterator[tuple[PixelArray, IndexArray]]:
    """Decoded images in canonical order with their indices, one class at a time, to hold only one class in memory."""
    by_label = np.argsort(labels, kind="stable")
    bounds = np.flatnonzero(np.diff(labels[by_label], prepend=-1, append=-1))
    with Bar(f"decode {what}", len(labels), progress) as bar, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start, stop in pairwise(bounds):
            slices = [by_label[at : min(at + 32, stop)] for at in range(start, stop, 32)]
            parts = []
            for part in pool.map(lambda rows: [decode(int(row)) for row in rows], slices):
                parts += part
                bar.add(len(part))
            block = np.stack(parts)
            order = np.argsort(pixel_hashes(block), kind="stable")
            yield block[order], by_label[start:stop][order]


def _in_memory(
    what: str, labels: IndexArray, decode: Decode, progress: Progress | None
) -> tuple[ImageStore, IndexArray]:
    pixels = np.empty((len(labels), *decode(0).shape), np.uint8)
    digest, order = Fingerprint(pixels.shape), [np.empty(0, np.int64)]
    for block, index in _blocks(what, labels, decode, progress):
        digest.update(block)
        done = sum(map(len, order))
        pixels[done : done + len(block)] = block
        order.append(index)
    labels = np.sort(labels)
    pixels.flags.writeable = labels.flags.writeable = False
    return ImageStore(pixels, labels, digest.finish(labels)), np.concatenate(order)


def _write(folder: Path, what: str, labels: IndexArray, decode: Decode, progress: Progress | None) -> None:
    """Write the cache with ordinary writes: a full disk is then an exception; with a memory map it is a bus error."""
    shape = (len(labels), *decode(0).shape)
    digest, order = Fingerprint(shape), [np.empty(0, np.int64)]
    with open(folder / "pixels.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for block, index in _blocks(what, labels, decode, progress):
            digest.update(block)
            file.write(block.reshape(-1).data)
            order.append(index)
        _sync(file)
    labels = np.sort(labels)
    for name, values in (("labels", labels), ("order", np.concatenate(order))):
        with open(folder / f"{name}.npy", "wb") as file:
            np.save(file, values)
            _sync(file)
    with open(folder / "meta.json", "wb") as file:
        file.write(json.dumps({"fingerprint": digest.finish(labels), "shape": shape}).encode())
        _sync(file)


def _open(folder: Path) -> tuple[ImageStore, IndexArray] | None:
    """The cached store and the original index of its rows; None if there is none or it is damaged."""
    try:
        meta: dict[str, Any] = json.loads((folder / "meta.json").read_bytes())
        pixels = np.load(folder / "pixels.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / "labels.npy", allow_pickle=False)
        if list(pixels.shape) != meta["shape"]:
            raise ValueError(f"its shape is {list(pixels.shape)}")
        order = np.load(folder / "order.npy", allow_pickle=False)
        return ImageStore(pixels, labels, meta["fingerprint"]), order
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        log.warning("The decoded cache %s is damaged (%s); the images are decoded again.", folder, error)
        return None


def _publish(temporary: Path, folder: Path) -> None:
    """Move a finished folder to its place, after removing a damaged one (we hold the lock)."""
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(temporary, folder)


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder next to the final one; removed afterwards unless it was renamed. Leftovers of a killed run are
    removed first."""
    path = folder.with_name(f".{folder.name}.tmp")  # the lock makes it ours
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
