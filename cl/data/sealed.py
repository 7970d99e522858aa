"""A store in the place of test images that nobody may read: any access raises."""

from __future__ import annotations

import hashlib
from typing import NoReturn

import numpy as np

from cl.data.store import ImageStore
from cl.errors import ContractError

FINGERPRINT = hashlib.sha256(b"sealed").hexdigest()
"""The fingerprint of every sealed store: it tells nothing of the images."""


class SealedStore(ImageStore):
    """No images: pixels, labels and hashes raise `ContractError`, and the length is 0.

    `shape` is (height, width, channels) of the training images, and `classes` the number of classes where an image may
    have several, else None.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int | None = None) -> None:
        self._shape, self.fingerprint = shape, FINGERPRINT
        self.tags = None if classes is None else np.empty((0, classes), np.bool_)

    def __len__(self) -> int:
        return 0

    def _refuse(self) -> NoReturn:
        raise ContractError("The test images are sealed: a run with --sealed evaluates held-out training images only.")

    pixels = property(_refuse)
    labels = property(_refuse)
    hashes = property(_refuse)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the training images."""
        return self._shape
