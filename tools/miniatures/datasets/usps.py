"""USPS in little: two training images and one test image of each digit."""

from __future__ import annotations

import bz2
from pathlib import Path

import numpy as np

from tools.miniatures.packing import write_files
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """Two files: on each line the digit, counted from 1, and 256 pairs of place and value; then a space."""
    for name, split, each in (("usps.bz2", "train", 2), ("usps.t.bz2", "test", 1)):
        lines = [_line(pen, split, digit) for digit in range(10) for _ in range(each)]
        write_files(folder, {name: bz2.compress("".join(lines).encode())})


def _line(pen: Pen, split: str, digit: int) -> str:
    values = np.asarray(pen.draw(split, str(digit), (16, 16), "L")).reshape(-1) / 127.5 - 1
    pairs = "".join(f"{place}:{value:.6g} " for place, value in enumerate(values.tolist(), 1))
    return f"{digit + 1} {pairs}\n"
