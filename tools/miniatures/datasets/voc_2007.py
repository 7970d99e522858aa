"""PASCAL VOC 2007 in little: two images of each class in each set, every third with a second class."""

from __future__ import annotations

from pathlib import Path

from cl.data.official.pascal import CLASSES
from tools.miniatures.packing import write_tar
from tools.miniatures.pascal import main_sets
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """The archives of trainval and test, each with VOCdevkit/VOC2007/."""
    content = main_sets(pen, "VOCdevkit/VOC2007", CLASSES, {"train": "train", "val": "val", "test": "test"}, "{:06}")
    write_tar(folder / "VOCtrainval_06-Nov-2007.tar", {**content["train"], **content["val"], **content["trainval"]})
    write_tar(folder / "VOCtest_06-Nov-2007.tar", content["test"])
