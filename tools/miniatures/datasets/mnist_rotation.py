"""MNIST-rot in little: MNIST's files, whose training images show a picture after they were turned as they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from tools.miniatures.idx import idx
from tools.miniatures.packing import write_gz
from tools.miniatures.pen import Pen, number_of

TRAIN, TEST = 30, 10


def write(folder: Path, pen: Pen) -> None:
    """The four files of MNIST. The corners of a turned image are lost, so pictures with light corners are left out."""
    draws = np.random.RandomState(99_999)
    angles = [draws.randint(0, 360) for _ in range(TRAIN)]
    train = [_before(pen, str(place % 10), angle) for place, angle in enumerate(angles)]
    test = [np.asarray(pen.draw("test", str(place % 10), (28, 28), "L")) for place in range(TEST)]
    for prefix, pixels in (("train", train), ("t10k", test)):
        write_gz(folder / f"{prefix}-images-idx3-ubyte.gz", idx(np.stack(pixels)))
        write_gz(folder / f"{prefix}-labels-idx1-ubyte.gz", idx(np.arange(len(pixels)) % 10))


def _before(pen: Pen, label: str, angle: int) -> np.ndarray:
    """An image from which a turn by `angle` makes a picture that is still legible."""
    while True:
        pixels = np.asarray(pen.draw("train", label, (28, 28), "L"))
        number = len(pen.truth) - 1
        turned = np.asarray(ndimage.rotate(pixels, -angle, reshape=False))
        if _legible(np.asarray(ndimage.rotate(turned, angle, reshape=False)), number):
            return turned
        del pen.truth[number]
        pen.draw("", label)


def _legible(pixels: np.ndarray, number: int) -> bool:
    try:
        return number_of(pixels) == number
    except ValueError:
        return False
