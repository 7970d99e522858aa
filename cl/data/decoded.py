"""The cache of decoded images: files are decoded once, saved as uint8 arrays, and memory-mapped afterwards."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import xxhash
from filelock import FileLock

from cl.data.decoding import Decode, blocks, naming_all, sync, write
from cl.data.store import (
    Fingerprint,
    ImageStore,
    IndexArray,
    PixelArray,
    Progress,
)
from cl.errors import DataError
from cl.paths import home, writable_cache, writing_nothing

log = logging.getLogger("clbench.data")

DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, SyntaxError, TokenError)
"""Errors that damaged files raise; NumPy parses the header of an array as Python."""


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
    cache = _Cache(home() / "decoded" / key, what, labels, source, progress)
    found = cache.open()
    return found if found is not None else cache.decode()


@dataclass(frozen=True, eq=False)
class _Cache:
    """One folder of the cache, and how its images are decoded."""

    folder: Path
    what: str
    labels: IndexArray
    source: Callable[[], Decode]
    progress: Progress | None

    def decode(self) -> tuple[ImageStore, IndexArray]:
        """Decode the images and cache them, unless another process does so first."""
        decode = self.source()
        if writing_nothing():
            return replace(self, folder=writable_cache() / "decoded" / self.folder.name)._decode(decode)
        return self._decode(decode)

    def _decode(self, decode: Decode) -> tuple[ImageStore, IndexArray]:
        folder = self.folder
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{folder}.lock"):  # concurrent runs decode only once
                found = self.open()
                if found is None:
                    with _begun_folder(folder) as temporary:
                        _write(temporary, self.what, self.labels, decode, self.progress)
                        publish(temporary, folder)
                    found = self.open()
            if found is None:
                raise OSError(f"{folder} cannot be read back")
            return found
        except OSError as error:
            log.warning(
                "Decoded images of %s stay in memory: the cache %s cannot be written (%s).", self.what, folder.parent,
                error,
            )  # fmt: skip
        return _in_memory(self.what, self.labels, decode, self.progress)

    def open(self) -> tuple[ImageStore, IndexArray] | None:
        """The cached store and the original index of its rows; None if there is none or it is damaged.

        The pixels are checked when they are first used.
        """
        try:
            meta: dict[str, Any] = json.loads((self.folder / "meta.json").read_bytes())
            pixels = np.load(self.folder / "pixels.npy", mmap_mode="r", allow_pickle=False)
            labels = np.load(self.folder / "labels.npy", allow_pickle=False)
            order = np.load(self.folder / "order.npy", allow_pickle=False)
            if list(pixels.shape) != meta["shape"]:
                raise ValueError(f"its shape is {list(pixels.shape)}")
            if set(meta) not in ({"fingerprint", "shape"}, {"fingerprint", "shape", "pixels", "rest"}):
                raise ValueError("meta.json has other keys")
            hashes = np.load(self.folder / "hashes.npy", allow_pickle=False) if "rest" in meta else None
            if not np.array_equal(labels, self.labels[order]) or not np.array_equal(labels, np.sort(self.labels)):
                raise ValueError("its labels are others")
            digest = meta.get("pixels")  # version 0.1.0 wrote none: its fingerprint is compared
            rest = (labels, order, hashes)
            if digest is not None and meta["rest"] != _digest_of_rest(meta["fingerprint"], digest, *rest):
                raise ValueError("its content is not what was written")
            verified = partial(self._verified, meta["fingerprint"], digest)
            return ImageStore(pixels, labels, meta["fingerprint"], verified, hashes), order
        except FileNotFoundError:
            return None
        except DAMAGE as error:
            self._warn(error)
            return None

    def _verified(self, fingerprint: str, digest: str | None, pixels: PixelArray) -> PixelArray:
        """The pixels of a cached store, decoded again if the file is damaged."""
        if digest is not None:
            whole = xxhash.xxh3_128(pixels.reshape(-1).data).hexdigest() == digest
        else:
            again = Fingerprint(pixels.shape)
            again.update(pixels)
            whole = again.finish(np.sort(self.labels)) == fingerprint
        if whole:
            return pixels
        self._warn("its content is not what was written")
        if not writing_nothing():
            shutil.rmtree(self.folder, ignore_errors=True)
        store, _ = self.decode()
        if store.fingerprint != fingerprint:
            raise DataError(f"The images of {self.what} changed while they were in use; run the same command again.")
        return store.pixels

    def _warn(self, reason: object) -> None:
        log.warning("The decoded cache %s is damaged (%s); the images are decoded again.", self.folder, reason)


def _digest_of_rest(fingerprint: str, pixels: str, *arrays: np.ndarray | None) -> str:
    """128-bit hash of everything in the cache but the pixels, whose hash is `pixels`."""
    digest = xxhash.xxh3_128(f"{fingerprint} {pixels}".encode())
    for array in arrays:
        if array is not None:
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).reshape(-1).data)
    return digest.hexdigest()


def _in_memory(
    what: str, labels: IndexArray, decode: Decode, progress: Progress | None
) -> tuple[ImageStore, IndexArray]:
    decode = naming_all(decode, len(labels))
    pixels = np.empty((len(labels), *decode(0).shape), np.uint8)
    digest, order, hashes = Fingerprint(pixels.shape), [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    for block, index, names in blocks(what, labels, decode, progress):
        digest.update(block)
        done = sum(map(len, order))
        pixels[done : done + len(block)] = block
        order.append(index)
        hashes.append(names)
    labels = np.sort(labels)
    pixels.flags.writeable = labels.flags.writeable = False
    store = ImageStore(pixels, labels, digest.finish(labels), hashes=np.concatenate(hashes))
    return store, np.concatenate(order)


def _write(folder: Path, what: str, labels: IndexArray, decode: Decode, progress: Progress | None) -> None:
    """Write the cache into a folder, in which a killed process may have begun."""
    written = write(folder, what, labels, naming_all(decode, len(labels)), progress)
    arrays = {"labels": np.sort(labels), "order": written.order, "hashes": written.hashes}
    for name, values in arrays.items():
        with open(folder / f"{name}.npy", "wb") as file:
            np.save(file, values)
            sync(file)
    with open(folder / "meta.json", "wb") as file:
        rest = _digest_of_rest(written.fingerprint, written.pixels, *arrays.values())
        meta = {"fingerprint": written.fingerprint, "shape": written.shape, "pixels": written.pixels, "rest": rest}
        file.write(json.dumps(meta).encode())
        sync(file)


def publish(temporary: Path, folder: Path) -> None:
    """Move a finished folder to its place, after removing a damaged one (we hold the lock)."""
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(temporary, folder)


@contextmanager
def _begun_folder(folder: Path) -> Iterator[Path]:
    """As `temporary_folder`, but what a killed or interrupted process left is kept, to be continued."""
    path = folder.with_name(f".{folder.name}.tmp")
    path.mkdir(exist_ok=True)
    try:
        yield path
    except Exception:
        shutil.rmtree(path, ignore_errors=True)
        raise
    if path.exists():
        shutil.rmtree(path, ignore_errors=True)


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
