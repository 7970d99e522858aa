"""UMD textures in little: three grey images of each of the 25 textures, and files that Windows leaves."""

from __future__ import annotations

from pathlib import Path

from cl.data.releases.umd import CLASSES
from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """textures-1.zip and textures-2.zip with NUMBER/NAME.png."""
    for part, numbers in ((1, range(1, 13)), (2, range(13, 26))):
        content: dict[str, bytes] = {}
        for number in numbers:
            for count in range(1, 4):
                content[f"{number}/{number}_{count}.png"] = pen.encoded("all", CLASSES[number - 1], "PNG", mode="L")
            content[f"{number}/Thumbs.db"] = b"\0"
        write_zip(folder / f"textures-{part}.zip", content)
