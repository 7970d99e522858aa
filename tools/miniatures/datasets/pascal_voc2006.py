"""PASCAL VOC 2006 in little: two images of each class in each set, every third with a second class, one difficult."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_tar
from tools.miniatures.pen import Pen

CLASSES = ("bicycle", "bus", "car", "cat", "cow", "dog", "horse", "motorbike", "person", "sheep")
ROOT = "VOCdevkit/VOC2006"


def write(folder: Path, pen: Pen) -> None:
    """voc2006_trainval.tar and voc2006_test.tar with PNGImages, ImageSets and Annotations."""
    images: dict[str, dict[str, bytes]] = {}
    lines: dict[str, dict[str, list[str]]] = {}
    number = 0
    for kind in ("train", "val", "test"):
        images[kind], lines[kind] = {}, {each: [] for each in CLASSES}
        for place in range(2 * len(CLASSES) + 1):
            number += 1
            own = {CLASSES[place % len(CLASSES)], CLASSES[(place + 7 * (place % 3 == 1)) % len(CLASSES)]}
            difficult = place == 2 * len(CLASSES)
            content = pen.encoded("" if difficult else kind, max(own), "PNG", size=(40, 32))
            images[kind][f"{ROOT}/PNGImages/{number:06}.png"] = content
            images[kind][f"{ROOT}/Annotations/{number:06}.txt"] = b"# PASCAL Annotation Version 1.00\n"
            for each in CLASSES:
                present = (0 if difficult else 1) if each in own else -1
                lines[kind][each].append(f"{number:06} {present:2d}")
    both = {each: lines["train"][each] + lines["val"][each] for each in CLASSES}
    lists = {kind: _lists(kind, rows) for kind, rows in {**lines, "trainval": both}.items()}
    training = {**images["train"], **images["val"]}
    write_tar(folder / "voc2006_trainval.tar", {**training, **lists["train"], **lists["val"], **lists["trainval"]})
    write_tar(folder / "voc2006_test.tar", {**images["test"], **lists["test"]})


def _lists(kind: str, rows: dict[str, list[str]]) -> dict[str, bytes]:
    names = [line.split()[0] for line in rows[CLASSES[0]]]
    lists = {f"{each}_{kind}": lines for each, lines in rows.items()} | {kind: names}
    return {f"{ROOT}/ImageSets/{name}.txt": ("\n".join(lines) + "\n").encode() for name, lines in lists.items()}
