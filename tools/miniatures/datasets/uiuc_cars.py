"""UIUC cars in little: three images with and without a car, and test images."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_tar
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """PASCAL's archive: UIUC/PNGImages and annotations."""
    images = _images(pen, "UIUC/PNGImages", "png", "PNG")
    notes = {"UIUC/Annotations/TestImages/test-0.txt": b"# PASCAL Annotation Version 1.00\n"}
    write_tar(folder / "uiuc.tar.gz", {**images, **notes})


def write_authors(folder: Path, pen: Pen) -> None:
    """The authors' archive: CarData with PGM files and the places of the cars."""
    images = _images(pen, "CarData", "pgm", "PPM")
    write_tar(folder / "CarData.tar.gz", {**images, "CarData/trueLocations.txt": b"0: (56,44)\n"})


def _images(pen: Pen, root: str, end: str, kind: str) -> dict[str, bytes]:
    content = {}
    for prefix, label in (("pos", "car"), ("neg", "no car")):
        for number in range(3):
            name = f"{root}/TrainImages/{prefix}-{number}.{end}"
            content[name] = pen.encoded("all", label, kind, size=(50, 40), mode="L")
    for test in ("TestImages", "TestImages_Scale"):
        content[f"{root}/{test}/test-0.{end}"] = pen.encoded("", "car", kind, size=(50, 40), mode="L")
    return content
