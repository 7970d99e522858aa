"""PASCAL VOC 2012 in little: two images of each class in each set, and one of the segmentation task alone."""

from __future__ import annotations

from pathlib import Path

from cl.data.official.pascal import CLASSES
from tools.miniatures.packing import write_tar
from tools.miniatures.pascal import annotation, main_sets
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """The archive of trainval with VOCdevkit/VOC2012/."""
    root = "VOCdevkit/VOC2012"
    sets = main_sets(pen, root, CLASSES, {"train": "train", "test": "val"}, "2008_{:06}")
    content = {name: data for each in sets.values() for name, data in each.items()}
    other = "2007_000032"
    content[f"{root}/JPEGImages/{other}.jpg"] = pen.encoded("", "person", size=(48, 36))
    content[f"{root}/Annotations/{other}.xml"] = annotation(other, ["person"])
    content[f"{root}/ImageSets/Segmentation/train.txt"] = f"{other}\n".encode()
    write_tar(folder / "VOCtrainval_11-May-2012.tar", content)
