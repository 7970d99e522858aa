"""Caltech cars and motorbikes in little: three images of each category, and what is next to them."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import tar_bytes, write_zip
from tools.miniatures.pen import Pen

CATEGORIES = {
    "Cars_2001/cars_brad": ("car", "image_{:04}.jpg"),
    "Cars_1999/cars_markus": ("car", "image_{:04}.jpg"),
    "motorbikes_side/motorbikes_side": ("motorcycle", "{:04}.jpg"),
}


def write(folder: Path, pen: Pen) -> None:
    """CATEGORY.zip with a tar of the images, a readme and, of some, a file of MATLAB."""
    for path, (kind, name) in CATEGORIES.items():
        images = {name.format(number): pen.encoded("all", kind, size=(40, 32)) for number in (1, 2, 3)}
        packed = tar_bytes({**images, "README": b"Photographs\n", "ImageData.mat": b"\0"})
        write_zip(folder / f"{path.partition('/')[0]}.zip", {f"{path}.tar": packed})
