"""Path MNIST in little: three images of each tissue in the table, and the archive's other tables and tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen

TISSUES = ("tumour", "stroma", "complex", "lympho", "debris", "mucosa", "adipose", "empty")
FOLDERS = ("01_TUMOR", "02_STROMA", "03_COMPLEX", "04_LYMPHO", "05_DEBRIS", "06_MUCOSA", "07_ADIPOSE", "08_EMPTY")


def write(folder: Path, pen: Pen) -> None:
    """colorectal-histology-mnist.zip with hmnist_SIDE_SIDE_MODE.csv and the tiles as TIFF."""
    tiles = "Kather_texture_2016_image_tiles_5000"
    content = {
        f"{tiles}/{tiles}/{name}/1035F_CRC-Prim-HE-07_004.tif_Row_451_Col_{number}.tif": pen.encoded(
            "", tissue, "TIFF", (30, 30)
        )
        for number, (name, tissue) in enumerate(zip(FOLDERS, TISSUES, strict=True), start=1)
    }
    for side, mode, split in ((28, "RGB", "all"), (28, "L", ""), (8, "RGB", ""), (8, "L", ""), (64, "L", "")):
        content[f"hmnist_{side}_{side}_{mode}.csv"] = _table(pen, split, side, mode)
    write_zip(folder / "colorectal-histology-mnist.zip", content)


def _table(pen: Pen, split: str, side: int, mode: str) -> bytes:
    pixels = side * side * len(mode)
    lines = [",".join([*(f"pixel{place:04}" for place in range(pixels)), "label"])]
    for _ in range(3 if split else 1):
        for number, tissue in enumerate(TISSUES, start=1):
            image = np.asarray(pen.draw(split, tissue, (side, side), mode))
            lines.append(",".join(map(str, [*image.reshape(-1).tolist(), number])))
    return ("\n".join(lines) + "\n").encode()
