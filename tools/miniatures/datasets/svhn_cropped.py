"""SVHN in little: two training images and one test image of each digit, and one further image of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.miniatures.packing import mat_bytes, write_files
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """Three files with X, [32, 32, 3, N], and y, [N, 1], where 0 is 10."""
    for kind, split, each in (("train", "train", 2), ("test", "test", 1), ("extra", "", 1)):
        digits = [digit for digit in range(10) for _ in range(each)]
        pixels = np.stack([np.asarray(pen.draw(split, str(digit))) for digit in digits], axis=3)
        labels = np.array([[digit or 10] for digit in digits], np.uint8)
        write_files(folder, {f"{kind}_32x32.mat": mat_bytes({"X": pixels, "y": labels})})
