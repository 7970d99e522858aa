"""Oxford Flowers 17 in little: three training, one validation and two test images of each class, one in no set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cl.data.releases.oxford_flowers_17 import CLASSES
from tools.miniatures.packing import mat_bytes, write_files, write_tar
from tools.miniatures.pen import Pen

_SETS = {"train": "trn", "val": "val", "test": "tst"}


def write(folder: Path, pen: Pen) -> None:
    """17flowers.tgz with jpg/image_NUMBER.jpg, 80 numbers a class, and datasplits.mat with three splits."""
    images: dict[str, bytes] = {}
    sets: dict[str, list[int]] = {f"{key}{trial}": [] for trial in (1, 2, 3) for key in _SETS.values()}
    for place, label in enumerate(CLASSES):
        for count, split in enumerate(("train", "val", "test", "", "train", "test", "train")):
            number = place * 80 + 1 + (79 if count == 6 else count * 11)
            images[f"jpg/image_{number:04}.jpg"] = pen.encoded(split, label, size=(32, 40))
            for trial in (1, 2, 3) if split else ():
                other = list(_SETS)[(list(_SETS).index(split) + trial - 1) % 3]
                sets[f"{_SETS[other]}{trial}"].append(number)
    images["jpg/files.txt"] = "\n".join(name.partition("/")[2] for name in images).encode()
    write_tar(folder / "17flowers.tgz", images)
    write_files(folder, {"datasplits.mat": mat_bytes({key: np.array([each], np.uint16) for key, each in sets.items()})})
