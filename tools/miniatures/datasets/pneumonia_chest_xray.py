"""Chest X-rays of children in little: two images of each class in each split."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """chest-xray-pneumonia.zip with everything twice, and with files of a Mac."""
    images = _images(pen)
    content = {f"chest_xray/chest_xray/{name}": data for name, data in images.items()}
    content |= {f"chest_xray/{name}": data for name, data in images.items()}
    content["chest_xray/chest_xray/.DS_Store"] = b"\0\0\0\1Bud1"
    for name in images:
        start, _, last = name.rpartition("/")
        content[f"chest_xray/__MACOSX/chest_xray/{start}/._{last}"] = b"\0\5\x16\7\0\2\0\0Mac OS X"
    write_zip(folder / "chest-xray-pneumonia.zip", content)


def write_once(folder: Path, pen: Pen) -> None:
    """The same with the images in chest_xray/ alone."""
    write_zip(folder / "chest-xray-pneumonia.zip", {f"chest_xray/{name}": data for name, data in _images(pen).items()})


def _images(pen: Pen) -> dict[str, bytes]:
    found = {}
    for split in ("test", "train", "val"):
        for number in range(1, 3):
            for kind, name in (("NORMAL", f"IM-{number:04}-0001"), ("PNEUMONIA", f"person{number}_bacteria_{number}")):
                found[f"{split}/{kind}/{name}.jpeg"] = pen.encoded(split, kind, size=(40, 32), mode="L")
    return found
