"""Synthetic COVID-19 chest X-rays in little: four images of each origin."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """G_NC.zip with G1/ (made of normal images) and G_PC.zip with G2/ (made of images of pneumonia)."""
    for archive, group, name in (("G_NC", "G1", "Normal"), ("G_PC", "G2", "Pneumonia")):
        content = {f"{group}/{number}.png": pen.encoded("all", name, "PNG") for number in range(4)}
        write_zip(folder / f"{archive}.zip", content)
