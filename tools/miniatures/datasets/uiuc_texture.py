"""UIUC textures in little: three grey images of each of the 25 textures."""

from __future__ import annotations

from pathlib import Path

from cl.data.releases.uiuc_texture import CLASSES
from cl.data.releases.uiuc_texture import folder as folder_of
from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """Five archives with T01_bark1/T01_01.jpg and so on; folders are members of their own."""
    for first in range(0, len(CLASSES), 5):
        content: dict[str, bytes] = {}
        for place in range(first, first + 5):
            inner = folder_of(place)
            content[f"{inner}/"] = b""
            for count in (1, 2, 40):
                content[f"{inner}/{inner[:3]}_{count:02}.jpg"] = pen.encoded("all", CLASSES[place], mode="L")
        write_zip(folder / f"T{first + 1:02}-T{first + 5:02}.zip", content)
