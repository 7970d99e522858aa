"""Fashion-MNIST in little: three training images and one test image of each class."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.idx import digits
from tools.miniatures.packing import write_gz
from tools.miniatures.pen import Pen

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def write(folder: Path, pen: Pen) -> None:
    """The four files of MNIST."""
    for split, prefix, each in (("train", "train", 3), ("test", "t10k", 1)):
        images, labels = digits(pen, split, CLASSES, each)
        write_gz(folder / f"{prefix}-images-idx3-ubyte.gz", images)
        write_gz(folder / f"{prefix}-labels-idx1-ubyte.gz", labels)
