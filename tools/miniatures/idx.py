"""IDX files, the format of MNIST."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tools.miniatures.pen import Pen


def idx(values: np.ndarray) -> bytes:
    """An IDX file of unsigned bytes."""
    head = bytes([0, 0, 8, values.ndim]) + b"".join(int(size).to_bytes(4, "big") for size in values.shape)
    return head + values.astype(np.uint8).tobytes()


def digits(pen: Pen, split: str, classes: Sequence[str], each: int, side: int = 28) -> tuple[bytes, bytes]:
    """The file of images and that of labels of a split: so many grey pictures of each class, classes in turn."""
    labels = [label for _ in range(each) for label in range(len(classes))]
    pixels = [np.asarray(pen.draw(split, classes[label], (side, side), "L")) for label in labels]
    return idx(np.stack(pixels)), idx(np.array(labels))
