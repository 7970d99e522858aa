"""COIL-20 in little: three of the 72 views of every object."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """coil-20-proc.zip with coil-20-proc/objN__VIEW.png, grey, objects counted from 1."""
    write_zip(
        folder / "coil-20-proc.zip",
        {
            f"coil-20-proc/obj{number}__{view}.png": pen.encoded("all", f"obj{number:02}", "PNG", mode="L")
            for number in range(1, 21)
            for view in range(3)
        },
    )
