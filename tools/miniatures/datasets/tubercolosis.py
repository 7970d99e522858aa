"""Tuberculosis chest X-rays in little: three images of each class, grey ones and RGB."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """tuberculosis-tb-chest-xray-dataset.zip with the images, a readme and tables."""
    top = "TB_Chest_Radiography_Database"
    content = {f"{top}/README.md.txt": b"TB chest X-rays\n"}
    for name in ("Normal", "Tuberculosis"):
        content[f"{top}/{name}.metadata.xlsx"] = b"PK\3\4"
        for number in range(1, 4):
            mode = "RGB" if number == 3 else "L"
            content[f"{top}/{name}/{name}-{number}.png"] = pen.encoded("all", name, "PNG", mode=mode)
    write_zip(folder / "tuberculosis-tb-chest-xray-dataset.zip", content)
