"""Olivetti faces in little: three of the ten photographs of each person."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_files, write_zip
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """att_faces.zip with sPERSON/NUMBER.pgm."""
    write_zip(folder / "att_faces.zip", {"README": b"Our Database of Faces\n", **_people(pen, "")})


def write_tar(folder: Path, pen: Pen) -> None:
    """What att_faces.tar.Z unpacks to."""
    write_files(folder, {"orl_faces/README": b"Our Database of Faces\n", **_people(pen, "orl_faces/")})


def write_kaggle(folder: Path, pen: Pen) -> None:
    """Kaggle's archive: JPEG files named after their number in the dataset and the person."""
    write_zip(
        folder / "the-orl-database-for-training-and-testing.zip",
        {
            f"{10 * (person - 1) + number}_{person}.jpg": pen.encoded("all", f"s{person}", size=(23, 28), mode="L")
            for person in range(1, 41)
            for number in (1, 2, 10)
        },
    )


def _people(pen: Pen, root: str) -> dict[str, bytes]:
    return {
        f"{root}s{person}/{number}.pgm": pen.encoded("all", f"s{person}", "PPM", size=(23, 28), mode="L")
        for person in range(1, 41)
        for number in (1, 2, 10)
    }
