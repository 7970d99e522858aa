"""Image stores: uint8 pixels and labels in canonical order, in memory or memory-mapped, with a fingerprint."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

IndexArray = NDArray[np.int64]
PixelArray = NDArray[np.uint8]
HashArray = NDArray[np.uint64]
TagArray = NDArray[np.bool_]
"""Which classes each image has, [N, C]: for datasets whose images may have several."""
_TOGETHER = 1 << 16
"""Hashes that are converted at a time."""
Progress = Callable[[str, int, int], None]
"""Called as `progress(what, done, total)`; `total` is 0 if unknown."""


class ImageStore:
    """Images of one split in canonical order: label first, then the SHA-1 of the pixels.

    `pixels` is uint8 [N, H, W, C] with C in {1, 3}; `labels` is int64 [N], the dataset's own labels; `fingerprint` is
    the SHA-256 of shape, pixels and labels in that order, so it does not depend on the source of the images. `verified`
    is called once, before the pixels are first used, and returns them: pixels from a file are checked when needed.
    `hashes` is uint64 [N], equal for images with equal pixels. `tags` is bool [N, C] where an image may have several
    classes, else None; its label is then the first of its classes, 0 if it has none, and `fingerprint` covers the tags.
    """

    def __init__(
        self,
        pixels: PixelArray,
        labels: IndexArray,
        fingerprint: str,
        verified: Callable[[PixelArray], PixelArray] | None = None,
        hashes: HashArray | None = None,
        tags: TagArray | None = None,
    ) -> None:
        _check(pixels, labels)
        if tags is not None and not np.array_equal(labels, first_class(tags)):
            raise ValueError("the label of an image with several classes is the first of them")
        self.tags = tags
        self._pixels, self.labels, self.fingerprint, self._verified = pixels, labels, fingerprint, verified
        self._checking = threading.Lock()  # threads that decode a union read its stores together
        if hashes is not None:
            self.hashes = hashes

    @classmethod
    def from_arrays(cls, pixels: np.ndarray, labels: np.ndarray) -> ImageStore:
        """Copy images, in any order, into a store.

        `pixels`: uint8 [N, H, W, C] or [N, H, W]; `labels`: integers [N], or bool [N, C] where an image may have
        several classes. Raises `ValueError` for other types or shapes.
        """
        if pixels.ndim == 3:
            pixels = pixels[..., None]
        labels, tags = np.asarray(labels), None
        if labels.ndim == 2 and labels.dtype == np.bool_:
            tags, labels = labels, first_class(labels)
        labels = labels.astype(np.int64, casting="same_kind")
        _check(pixels, labels)
        names = pixel_hashes(pixels)
        ties = () if tags is None else tuple(tags.T)  # equal pixels with other classes are other images
        order = np.lexsort((*ties, names, labels)).astype(np.int64)
        pixels, labels = pixels[order], labels[order]
        digest = Fingerprint(pixels.shape)
        digest.update(pixels)
        pixels.flags.writeable = labels.flags.writeable = False
        store = cls(pixels, labels, digest.finish(labels), hashes=short_hashes(names[order]))
        return store if tags is None else store.with_tags(tags[order])

    def with_tags(self, tags: TagArray) -> ImageStore:
        """The same images with the classes of each, bool [N, C] in the order of the store."""
        digest = hashlib.sha256(f"{self.fingerprint} tags {tags.shape[0]} {tags.shape[1]}".encode())
        digest.update(np.packbits(tags).tobytes())
        tags = tags.copy()
        tags.flags.writeable = False
        hashes = vars(self).get("hashes")  # computed, or to be computed from the pixels
        return ImageStore(self._pixels, self.labels, digest.hexdigest(), self._verified, hashes, tags)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def pixels(self) -> PixelArray:
        """The images; raises `DataError` if their file is damaged and they cannot be decoded again."""
        with self._checking:
            if self._verified is not None:
                self._pixels, self._verified = self._verified(self._pixels), None
            return self._pixels

    @cached_property
    def hashes(self) -> HashArray:
        """The first eight bytes of the SHA-1 of every image."""
        return short_hashes(pixel_hashes(self.pixels))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        height, width, channels = self._pixels.shape[1:]
        return height, width, channels


@dataclass(frozen=True, eq=False)
class Dataset:
    """A labelled dataset with its train and test split, and its validation set if it has an official one.

    The test split is empty for a dataset that is published without a split. `origin` says where the images were read;
    `verified` is true if both fingerprints were known in advance and matched (content that does not match is never
    returned). `notes` are sentences about the images for users and records. `shares`: the share of its published images
    that is here, by the name of the dataset, where that number is known.
    """

    name: str
    train: ImageStore
    test: ImageStore
    class_names: tuple[str, ...]
    origin: str
    licence: str = ""
    citation: str = ""
    verified: bool = False
    notes: tuple[str, ...] = ()
    val: ImageStore | None = None
    shares: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for split, store in (("train", self.train), ("test", self.test), ("val", self.val)):
            if (
                store is not None
                and len(store)
                and not 0 <= store.labels[0] <= store.labels[-1] < len(self.class_names)
            ):
                raise ValueError(f"{self.name}: {split} labels lie outside 0..{len(self.class_names) - 1}")
            if store is not None and (store.tags is not None) != self.multi_label:
                raise ValueError(f"{self.name}: either all splits may have several classes per image, or none")
            if store is not None and store.tags is not None and store.tags.shape[1] != len(self.class_names):
                raise ValueError(f"{self.name}: {split} tags need {len(self.class_names)} columns, one per class")

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several classes."""
        return self.train.tags is not None

    @property
    def fingerprints(self) -> dict[str, str]:
        found = {"train": self.train.fingerprint, "test": self.test.fingerprint}
        return found if self.val is None else {**found, "val": self.val.fingerprint}


class Fingerprint:
    """SHA-256 of a store, fed with blocks of pixels in canonical order; little-endian on every system."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._digest = hashlib.sha256(json.dumps([int(n) for n in shape]).encode())

    def update(self, pixels: PixelArray) -> None:
        self._digest.update(np.ascontiguousarray(pixels).reshape(-1).data)

    def finish(self, labels: IndexArray) -> str:
        self._digest.update(np.ascontiguousarray(labels, dtype="<i8").tobytes())
        return self._digest.hexdigest()


def first_class(tags: TagArray) -> IndexArray:
    """The first class of each image, int64 [N]; 0 for an image without classes."""
    return tags.argmax(1) if tags.shape[1] else np.zeros(len(tags), np.int64)


def pixel_hashes(pixels: PixelArray) -> NDArray[np.bytes_]:
    """SHA-1 of every image, as fixed-width hexadecimal bytes (raw digests would lose trailing zero bytes in NumPy)."""
    hashes = (hashlib.sha1(np.ascontiguousarray(image).reshape(-1).data).hexdigest().encode() for image in pixels)
    return np.fromiter(hashes, "S40", len(pixels))


def canonical_order(pixels: PixelArray, labels: IndexArray) -> IndexArray:
    """The permutation that sorts images by label, then by the hash of their pixels; equal images are
    interchangeable."""
    return np.lexsort((pixel_hashes(pixels), labels)).astype(np.int64)


def short_hashes(hashes: NDArray[np.bytes_]) -> HashArray:
    """The first eight bytes of hashes of `pixel_hashes` as numbers."""
    found = np.empty(len(hashes), np.uint64)
    for start in range(0, len(hashes), _TOGETHER):
        digits = np.ascontiguousarray(hashes[start : start + _TOGETHER]).view(np.uint8).reshape(-1, 40)[:, :16]
        values = (digits & 15) + 9 * (digits >> 6)  # of 0 to 9 and of a to f in ASCII
        found[start : start + _TOGETHER] = (values[:, ::2] << 4 | values[:, 1::2]).view(">u8")[:, 0]
    return found


def _check(pixels: Any, labels: Any) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] not in (1, 3):
        raise ValueError(f"pixels must be uint8 [N, H, W, 1 or 3], not {pixels.dtype} {list(pixels.shape)}")
    if labels.dtype != np.int64 or labels.shape != pixels.shape[:1]:
        raise ValueError(f"labels must be int64 [{len(pixels)}], not {labels.dtype} {list(labels.shape)}")
