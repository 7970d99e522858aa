"""Graz-02 in little: some images of each class, with masks, lists and a note."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen

_NAMES = {"bikes": "bike_{:03}", "cars": "carsgraz_{:03}", "people": "person_{:03}"}


def write(folder: Path, pen: Pen) -> None:
    """ig02-v1.0-CLASS.zip with CLASS/NAME.image.png, its masks, and lists of a part of the images."""
    for label, pattern in _NAMES.items():
        content: dict[str, bytes] = {"readme.txt": b"INRIA Annotations for Graz-02\n"}
        names = [pattern.format(number) for number in range(1, 13)]
        for name in names:
            content[f"{label}/{name}.image.png"] = pen.encoded("all", label, "PNG", (40, 30))
            content[f"{label}/{name}.mask.0.png"] = pen.encoded("", label, "PNG", (40, 30))
        content[f"{label}_train.txt"] = "\n".join(names[0:8:2]).encode()
        content[f"{label}_test.txt"] = "\n".join(names[1:8:2]).encode()
        content[f"{label}_info.txt"] = "\n".join(f"{name} 1" for name in names).encode()
        write_zip(folder / f"ig02-v1.0-{label}.zip", content)
