"""Oxford Flowers 102 in little: one image of each class in each set, two of two classes in one, and one in no set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cl.data.releases.oxford_flowers102 import CLASSES
from tools.miniatures.packing import mat_bytes, write_files, write_tar
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """102flowers.tgz with jpg/image_NUMBER.jpg in no order of classes, imagelabels.mat and setid.mat."""
    images: dict[str, bytes] = {}
    labels: list[int] = []
    sets: dict[str, list[int]] = {"trnid": [], "valid": [], "tstid": []}
    for split, key in (("test", "tstid"), ("train", "trnid"), ("val", "valid")):
        for place in range(len(CLASSES) + 2 * (split == "train")):
            label = (place * 5 + len(key)) % len(CLASSES)
            labels.append(label + 1)
            sets[key].append(len(labels))
            images[f"jpg/image_{len(labels):05}.jpg"] = pen.encoded(split, CLASSES[label], size=(40, 32))
    labels.append(1)
    images[f"jpg/image_{len(labels):05}.jpg"] = pen.encoded("", CLASSES[0])
    write_tar(folder / "102flowers.tgz", images)
    write_files(
        folder,
        {
            "imagelabels.mat": mat_bytes({"labels": np.array([labels], np.uint8)}),
            "setid.mat": mat_bytes({key: np.array([chosen], np.uint16) for key, chosen in sets.items()}),
        },
    )
