"""Images of several stores as one store in canonical order: nothing is copied, rows are read where they lie."""

from __future__ import annotations

import itertools
import json
import logging
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import xxhash
from filelock import FileLock
from numpy.typing import DTypeLike, NDArray

from cl.data.decoded import DAMAGE, publish, temporary_folder
from cl.data.decoding import sync
from cl.data.progress import Bar
from cl.data.store import Fingerprint, HashArray, ImageStore, IndexArray, PixelArray, Progress, pixel_hashes
from cl.paths import home, writing_nothing

log = logging.getLogger("clbench.data")

_TOGETHER = 16 << 20
"""Bytes of images that are read at a time for the fingerprint."""
_Rows = NDArray[np.uint32]

_IN_CACHE = 1 << 18
"""Bytes of small images that are copied at a time to their places in a batch, which a processor's cache holds."""
_LARGE = 1 << 13
"""Bytes of an image above which the copying takes longer than a step of a loop."""


class JoinedPixels:
    """The images of several stores as an array, uint8 [N, H, W, C], which can only be read.

    It takes the indices of a NumPy array: an integer, a slice, an array of integers or booleans; then, in a tuple,
    integers and slices for height, width and channels. The result is an array; that of an array of indices is a copy.
    `np.asarray` copies everything. The pixels of a store are checked when one of its images is first read.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self, stores: Sequence[ImageStore], place: NDArray[np.integer[Any]], image_shape: tuple[int, ...]
    ) -> None:
        """`place` [N] are rows of the stores, numbered on from store to store."""
        self._stores = tuple(stores)
        *self._starts, total = itertools.accumulate(map(len, stores), initial=0)
        if total >= 1 << 32:
            raise ValueError(f"the stores have {total:,} images, more than 32 bits count")
        self._place = place.astype(np.uint32)
        self._pixels: list[PixelArray | JoinedPixels | None] = [None] * len(stores)
        self.shape = (len(place), *image_shape)

    def __len__(self) -> int:
        return len(self._place)

    def taken(self, rows: IndexArray) -> JoinedPixels:
        """Some of the images, in another order; reads nothing."""
        return JoinedPixels(self._stores, self._place[rows], self.shape[1:])

    @property
    def nbytes(self) -> int:
        """Bytes of all images."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __iter__(self) -> Iterator[PixelArray]:
        return (self[row] for row in range(len(self)))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("images of several stores become one array only as a copy")
        return self._copy(self._place).astype(dtype or self.dtype, copy=False)

    def __getitem__(self, index: Any) -> PixelArray:
        if isinstance(index, tuple):
            first, *rest = index or (slice(None),)
            if not all(isinstance(each, (int, np.integer, slice)) for each in rest):
                raise IndexError("height, width and channels of images take integers and slices")
            chosen = self[first]
            return chosen[(*[slice(None)] * (chosen.ndim - 3), *rest)]
        if index is None or index is Ellipsis:
            raise IndexError("images are chosen by an integer, a slice or an array")
        place = self._place[index]
        if place.ndim == 0:
            owner = self._owner(int(place))
            return self._of(owner)[int(place) - self._starts[owner]]
        if isinstance(index, slice) and len(place) and bool((place[1:] == place[:-1] + 1).all()):
            first, start = self._owner(int(place[0])), int(place[0])
            if first == self._owner(int(place[-1])):
                start -= self._starts[first]
                return self._of(first)[start : start + len(place)]
        return self._copy(place)

    def _owner(self, place: int) -> int:
        return bisect_right(self._starts, place) - 1

    def _of(self, store: int) -> PixelArray:
        found = self._pixels[store]
        if found is None:
            found = self._stores[store].pixels
            if not isinstance(found, JoinedPixels):  # a plain array: indexing a memory map costs microseconds more
                found = np.asarray(found)
            self._pixels[store] = found
        return cast(PixelArray, found)

    def _copy(self, place: _Rows) -> PixelArray:
        if place.ndim != 1:
            return self._copy(place.reshape(-1)).reshape(*place.shape, *self.shape[1:])
        if not len(place):
            return np.empty((0, *self.shape[1:]), np.uint8)
        owner = self._owner(int(place[0]))
        try:  # most batches are of one store, and `take` finds rows outside it at no cost: none is below zero
            return np.take(self._of(owner), place - self._starts[owner], axis=0)
        except IndexError:
            return self._mixed(place)

    def _mixed(self, place: _Rows) -> PixelArray:
        """Images of several stores: large ones one by one, small ones store by store."""
        starts = np.array(self._starts)
        owner = starts.searchsorted(place, side="right") - 1
        own = place - starts[owner]
        found = np.empty((len(place), *self.shape[1:]), np.uint8)
        if found[0].nbytes >= _LARGE:
            stores = owner.tolist()
            pixels_of = {store: self._of(store) for store in set(stores)}
            for image, store, row in zip(found, stores, own.tolist(), strict=True):
                image[...] = pixels_of[store][row]
            return found
        order = np.argsort(owner, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(owner[order])) + 1):
            pixels = self._of(int(owner[rows[0]]))
            step = max(1, _IN_CACHE // found[0].nbytes)
            for start in range(0, len(rows), step):
                part = rows[start : start + step]
                found[part] = np.take(pixels, own[part], axis=0)
        return found


def joined_store(
    what: str, key: str, stores: Sequence[ImageStore], place: IndexArray, labels: IndexArray,
    image_shape: tuple[int, int, int], progress: Progress | None = None,
) -> tuple[ImageStore, IndexArray]:  # fmt: skip
    """Some images of stores, with other labels, as one store; and the index of each of its rows in `place`.

    `place` [N] are rows of the stores, numbered on from store to store; all images have `image_shape`. `key` identifies
    stores, rows and labels. The order of the rows and the fingerprint are those of a store of the copied images. They
    are computed once, for which every image is read once, and kept in the cache.
    """
    every = np.concatenate([np.empty(0, np.uint64), *(store.hashes for store in stores)])
    joining = _Joining(JoinedPixels(stores, place, image_shape), labels, every[place])
    folder = home() / "decoded" / key
    order, fingerprint = joining.open(folder) or joining.made(folder, what, progress)
    pixels = cast(PixelArray, joining.pixels.taken(order))  # it takes the indices of an array
    store = ImageStore(pixels, labels[order], fingerprint, hashes=joining.hashes[order])
    return store, order


class _Joining:
    """Images in any order, with labels and the first eight bytes of the hash of each."""

    def __init__(self, pixels: JoinedPixels, labels: IndexArray, hashes: HashArray) -> None:
        self.pixels, self.labels, self.hashes = pixels, labels, hashes

    def open(self, folder: Path) -> tuple[IndexArray, str] | None:
        """The canonical order and the fingerprint in a folder of the cache; None if there are none, or damaged ones."""
        try:
            meta: dict[str, Any] = json.loads((folder / "meta.json").read_bytes())
            order = np.load(folder / "order.npy", allow_pickle=False)
            if meta["sum"] != _sum(order, meta["joined"]) or len(order) != len(self.labels):
                raise ValueError("its content is not what was written")
            return order, meta["joined"]
        except FileNotFoundError:
            return None
        except DAMAGE as error:
            log.warning("%s is damaged (%s); it is computed again.", folder, error)
            return None

    def made(self, folder: Path, what: str, progress: Progress | None) -> tuple[IndexArray, str]:
        """Order and fingerprint, computed and cached unless another process does so first."""
        if writing_nothing():
            return self._computed(what, progress)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{folder}.lock"):  # concurrent runs compute them only once
                found = self.open(folder)
                if found is None:
                    found = self._computed(what, progress)
                    with temporary_folder(folder) as temporary:
                        _write(temporary, *found)
                        publish(temporary, folder)
                return found
        except OSError as error:
            log.warning(
                "The fingerprint of %s is computed again by every run: the cache %s cannot be written (%s).", what,
                folder.parent, error,
            )  # fmt: skip
        return self._computed(what, progress)

    def _computed(self, what: str, progress: Progress | None) -> tuple[IndexArray, str]:
        order = self._order()
        digest = Fingerprint(self.pixels.shape)
        step = max(1, _TOGETHER // max(1, int(np.prod(self.pixels.shape[1:]))))
        pixels = self.pixels.taken(order)
        with Bar(f"read {what}", len(order), progress) as bar:
            for start in range(0, len(order), step):
                block = pixels[start : start + step]
                digest.update(block)
                bar.add(len(block))
        return order, digest.finish(self.labels[order])

    def _order(self) -> IndexArray:
        """By label, then by the whole hash of the pixels, which is computed where its first bytes do not decide."""
        order = np.lexsort((self.hashes, self.labels)).astype(np.int64)
        alike = np.flatnonzero(
            (self.labels[order[1:]] == self.labels[order[:-1]]) & (self.hashes[order[1:]] == self.hashes[order[:-1]])
        )
        tied = np.union1d(alike, alike + 1)
        if len(tied):
            rows = order[tied]  # of one label and hash: ascending
            names = np.concatenate(
                [pixel_hashes(self.pixels[part]) for part in np.split(rows, range(256, len(rows), 256))]
            )
            order[tied] = rows[np.lexsort((names, self.hashes[rows], self.labels[rows]))]
        return order


def _sum(order: IndexArray, fingerprint: str) -> str:
    digest = xxhash.xxh3_128(fingerprint.encode())
    digest.update(np.ascontiguousarray(order, "<i8").data)
    return digest.hexdigest()


def _write(folder: Path, order: IndexArray, fingerprint: str) -> None:
    with open(folder / "order.npy", "wb") as file:
        np.save(file, order)
        sync(file)
    with open(folder / "meta.json", "wb") as file:
        file.write(json.dumps({"joined": fingerprint, "sum": _sum(order, fingerprint)}).encode())
        sync(file)
