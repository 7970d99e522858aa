"""UMIST faces in little: three images of each person."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_tar
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """face.tar.gz with PERSON/NUMBER.pgm."""
    write_tar(
        folder / "face.tar.gz",
        {
            f"1{letter}/{number:03}.pgm": pen.encoded("all", f"1{letter}", "PPM", mode="L")
            for letter in "abcdefghijklmnopqrst"
            for number in (1, 2, 3)
        },
    )
