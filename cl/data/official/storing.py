"""The images of a split as a store: decoded once, in colour and at one side."""

from __future__ import annotations

import hashlib

import numpy as np

from cl.data.decoded import Decode, decoded_in_order
from cl.data.images import square
from cl.data.official.listing import Examples
from cl.data.store import ImageStore, PixelArray, Progress, first_class


def stored(
    what: str, version: str, examples: Examples, size: int, progress: Progress | None = None, *, grey: bool = False
) -> ImageStore:
    """The images as [N, size, size, 3] uint8, with one channel left as it is if `grey`; decoded once and cached.

    `version` names the reader, its version, the dataset and the split. With the labels and what `examples` says of its
    files it is the key in the cache. Raises `DataError` for an unreadable image.
    """
    tags = np.asarray(examples.labels, np.bool_) if examples.labels.ndim == 2 else None
    labels = np.asarray(examples.labels, np.int64) if tags is None else first_class(tags)
    digest = hashlib.sha256(f"{version} {size}".encode())
    digest.update(labels.astype("<i8").tobytes())
    for text in examples.identity():
        digest.update(f"\n{text}".encode(errors="surrogateescape"))

    def source() -> Decode:
        def decode(index: int) -> PixelArray:
            pixels = square(examples.decode(index), size)
            return pixels if grey or pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)

        return decode

    store, order = decoded_in_order(what, digest.hexdigest(), labels, source, progress)
    return store if tags is None else store.with_tags(tags[order])
