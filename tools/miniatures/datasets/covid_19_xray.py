"""COVID-19 radiography in little: three images of each class, and in the later archive masks of the lungs."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen

CLASSES = ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")
TOP = "COVID-19_Radiography_Dataset"
ARCHIVE = "covid19-radiography-database.zip"


def write(folder: Path, pen: Pen) -> None:
    """CLASS/images/CLASS-N.png with CLASS/masks/CLASS-N.png."""
    content = _tables()
    for name in CLASSES:
        for number in range(1, 4):
            content[f"{TOP}/{name}/images/{name}-{number}.png"] = pen.encoded("all", name, "PNG", (30, 30), "L")
            content[f"{TOP}/{name}/masks/{name}-{number}.png"] = pen.encoded("", name, "PNG", (26, 26))
    write_zip(folder / ARCHIVE, content)


def write_earlier(folder: Path, pen: Pen) -> None:
    """CLASS/CLASS-N.png."""
    content = _tables()
    for name in CLASSES:
        for number in range(1, 4):
            content[f"{TOP}/{name}/{name}-{number}.png"] = pen.encoded("all", name, "PNG", (30, 30), "L")
    write_zip(folder / ARCHIVE, content)


def _tables() -> dict[str, bytes]:
    tables = {f"{TOP}/{name}.metadata.xlsx": b"PK\3\4" for name in CLASSES}
    return {**tables, f"{TOP}/README.md.txt": b"COVID-19 chest X-rays\n"}
