"""The cache of decoded images: encoded files are decoded once, kept as uint8 arrays and memory-mapped afterwards."""

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
    """The store of N encoded images, from the cache where it is there, else decoded and cached.

    `key` names the content (hashes of the files, version of the reader). `source()` is called only when there is
    something to decode; it returns `decode(i)`, which gives image i as uint8 [H, W, C], is called from several threads
    and turns what it cannot read into a `DataError`, which passes through. Where the cache cannot be written, the
    images stay in memory and a warning says why.
    """
    return decoded_in_order(what, key, labels, source, progress)[0]


def decoded_in_order(
    what: str, key: str, labels: IndexArray, source: Callable[[], Decode], progress: Progress | None = None
) -> tuple[ImageStore, IndexArray]:
    """As `decoded_store`, with the index i of each of its images, int64 [N]: where a store's row came from."""
    labels = np.asarray(labels, dtype=np.int64)
    folder = home() / "decoded" / key
    found = _open(folder)
    if found is not None:
        return found
    decode = source()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):  # two runs started together decode once
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
    """Decoded images in canonical order and the index of each, one class at a time, so that memory stays at one
    class."""
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
    """Write pixels through ordinary writes: a full disk is then an error, where a memory map would be a bus error."""
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
    """The cached store and where its rows came from, None where there is none or where it is not whole."""
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
    """Put a finished folder in place; a damaged one that stood there goes first (we hold the lock)."""
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(temporary, folder)


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """A folder beside the final one that is gone afterwards unless it was renamed; what a killed run left goes
    first."""
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
