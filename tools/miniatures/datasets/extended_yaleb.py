"""Extended Yale B in little: two of the 64 lights in each pose of each person, and an image with ambient light."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_tar, write_zip
from tools.miniatures.pen import Pen

PEOPLE = [f"yaleB{number}" for number in range(11, 40) if number != 14]


def write(folder: Path, pen: Pen) -> None:
    """ExtendedYaleB.tar.bz2 with ExtendedYaleB/PERSON/PERSON_POSE...pgm and lists of the files."""
    write_tar(folder / "ExtendedYaleB.tar.bz2", _people(pen))


def write_kaggle(folder: Path, pen: Pen) -> None:
    """Kaggle's archive of the same folders."""
    write_zip(folder / "extended-yale-dataset-b.zip", _people(pen))


def _people(pen: Pen) -> dict[str, bytes]:
    content: dict[str, bytes] = {}
    for person in PEOPLE:
        root = f"ExtendedYaleB/{person}/{person}"
        for pose in range(9):
            names = [f"{root}_P0{pose}A{light}.pgm" for light in ("+000E+00", "-110E-20")]
            content |= {name: pen.encoded("all", person, "PPM", size=(20, 16), mode="L") for name in names}
        own = [name.rpartition("/")[2] for name in content if f"/{person}_" in name]
        content[f"{root}_P00.info"] = "\n".join(own).encode()
        content[f"{root}_P00_Ambient.pgm"] = pen.encoded("", person, "PPM", size=(20, 16), mode="L")
    return content
