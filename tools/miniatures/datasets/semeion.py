"""Semeion in little: three images of each digit, and a fourth of 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.miniatures.packing import write_files
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """semeion.data: on each line 256 pixels, 0 or 1, and ten columns of which that of the digit is 1; then a space."""
    lines = []
    for digit in range(10):
        for _ in range(4 if digit == 0 else 3):
            pixels = np.asarray(pen.draw("all", str(digit), (16, 16), "L")).reshape(-1) > 128
            values = "".join(f"{int(pixel)}.0000 " for pixel in pixels)
            lines.append(values + "".join(f"{int(each == digit)} " for each in range(10)))
    write_files(folder, {"semeion.data": "".join(f"{line}\n" for line in lines).encode()})
