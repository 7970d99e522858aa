"""CMU AMP face expressions: all 75 photographs of each person, smaller than they are."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """faceExpressionDatabase.zip with PERSONNUMBER.bmp and a readme."""
    images = {
        f"{person}{number:02}.bmp": pen.encoded("all", person, "BMP", size=(16, 16), mode="L")
        for person in "ABCDEFGHIJKLM"
        for number in range(75)
    }
    write_zip(folder / "faceExpressionDatabase.zip", {"readme.txt": b"Face expressions\n", **images})
