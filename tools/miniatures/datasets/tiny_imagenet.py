"""Tiny ImageNet in little: two training images and one validation image of each class, and test images."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_files, write_zip
from tools.miniatures.pen import Pen

ROOT = "tiny-imagenet-200"
CLASSES = {f"n{1443537 + 37121 * place:08}": f"kind {place}, Kindus {place}" for place in range(200)}
"""As many classes as published, with numbers and names made up."""


def write(folder: Path, pen: Pen) -> None:
    """tiny-imagenet-200.zip; wnids.txt in another order than the numbers, words.txt with more of them."""
    write_zip(folder / "tiny-imagenet-200.zip", _content(pen))


def write_sorted(folder: Path, pen: Pen) -> None:
    """The same after a script that put the validation images into folders of their classes."""
    content = _content(pen)
    for line in content[f"{ROOT}/val/val_annotations.txt"].decode().splitlines():
        name, each = line.split("\t")[:2]
        content[f"{ROOT}/val/{each}/{name}"] = content.pop(f"{ROOT}/val/images/{name}")
    write_files(folder, content)


def _content(pen: Pen) -> dict[str, bytes]:
    shuffled = sorted(CLASSES, key=lambda each: each[::-1])
    content: dict[str, bytes] = {
        "wnids.txt": _text(shuffled),
        "words.txt": _text([f"{each}\t{name}" for each, name in {"n00001740": "entity", **CLASSES}.items()]),
    }
    val = []
    for place, each in enumerate(shuffled):
        boxes = []
        for number in range(2):
            name = f"{each}_{number}.JPEG"
            content[f"train/{each}/images/{name}"] = pen.encoded("train", CLASSES[each], mode="L" if number else "RGB")
            boxes.append(f"{name}\t0\t10\t63\t58")
        content[f"train/{each}/{each}_boxes.txt"] = _text(boxes)
        content[f"val/images/val_{place}.JPEG"] = pen.encoded("test", CLASSES[each])
        val.append(f"val_{place}.JPEG\t{each}\t0\t32\t44\t62")
    content["val/val_annotations.txt"] = _text(val)
    for number in range(3):
        content[f"test/images/test_{number}.JPEG"] = pen.encoded("", "")
    return {f"{ROOT}/{name}": data for name, data in content.items()}


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
