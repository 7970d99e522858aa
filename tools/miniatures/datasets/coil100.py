"""COIL-100 in little: three of the 72 views of every object."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """coil-100.zip with coil-100/objN__ANGLE.png, objects counted from 1, and a program."""
    views = {
        f"coil-100/obj{number}__{angle}.png": pen.encoded("all", f"obj{number:03}", "PNG")
        for number in range(1, 101)
        for angle in (0, 5, 355)
    }
    write_zip(folder / "coil-100.zip", {**views, "coil-100/convertGroupppm2png.pl": b"#!/usr/bin/perl\n"})
