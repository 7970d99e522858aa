"""Small NORB in little: one pair of images of each of the ten toys of each category."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cl.data.releases.smallnorb import CLASSES
from tools.miniatures.packing import write_gz
from tools.miniatures.pen import Pen

_SIDE = 96


def write(folder: Path, pen: Pen) -> None:
    """Matrices of images (two cameras), categories, and toy, elevation, azimuth and lighting, for training and test."""
    for part, toys in (("5x46789x9x18x6x2x96x96-training", (4, 6, 7, 8, 9)), ("5x01235x9x18x6x2x96x96-testing", None)):
        pairs, labels, about = [], [], []
        for toy in toys or (0, 1, 2, 3, 5):
            for label, name in enumerate(CLASSES):
                split = "test" if toys is None else "val" if toy == 6 else "train"
                cameras = [pen.draw(each, name, (_SIDE, _SIDE), "L") for each in (split, "")]
                pairs.append(np.stack([np.asarray(each) for each in cameras]))
                labels.append(label)
                about.append((toy, label, 2 * label, label % 6))
        stem = folder / f"smallnorb-{part}"
        _write(Path(f"{stem}-dat.mat.gz"), np.stack(pairs))
        _write(Path(f"{stem}-cat.mat.gz"), np.array(labels, "<i4"))
        _write(Path(f"{stem}-info.mat.gz"), np.array(about, "<i4"))


def _write(path: Path, values: np.ndarray) -> None:
    magic = 0x1E3D4C55 if values.dtype == np.uint8 else 0x1E3D4C54
    sizes = [*values.shape, 1, 1, 1][: max(3, values.ndim)]
    write_gz(path, np.array([magic, values.ndim, *sizes], "<i4").tobytes() + values.tobytes())
