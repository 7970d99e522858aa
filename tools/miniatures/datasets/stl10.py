"""STL-10 in little: two training images and one test image of each class, and two without a label."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.miniatures.packing import write_tar
from tools.miniatures.pen import Pen

CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")


def write(folder: Path, pen: Pen) -> None:
    """stl10_binary.tar.gz with images and labels as bytes, names of classes and folds."""
    content = {
        "class_names.txt": ("\n".join(CLASSES) + "\n").encode(),
        "fold_indices.txt": b"".join(b"0 1 2 3\n" for _ in range(10)),
    }
    for split, each in (("train", 2), ("test", 1)):
        labels = [label for label in range(len(CLASSES)) for _ in range(each)]
        content[f"{split}_X.bin"] = _planes(pen, split, [CLASSES[label] for label in labels])
        content[f"{split}_y.bin"] = (np.array(labels, np.uint8) + 1).tobytes()
    content["unlabeled_X.bin"] = _planes(pen, "", ["", ""])
    write_tar(folder / "stl10_binary.tar.gz", {f"stl10_binary/{name}": data for name, data in content.items()})


def _planes(pen: Pen, split: str, labels: list[str]) -> bytes:
    """Red, green and blue of each image, each by columns."""
    pixels = np.stack([np.asarray(pen.draw(split, label, (96, 96))) for label in labels])
    return pixels.transpose(0, 3, 2, 1).tobytes()
