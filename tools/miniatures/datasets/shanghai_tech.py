"""ShanghaiTech in little: for each class of counts an image in each split of each part, and a further one."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import scipy.io

from tools.miniatures.counting import NAMES, count_of
from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """Kaggle's shanghaitech.zip: images/ and ground-truth/ of each part and split, and a copy made for density maps."""
    content = _content(pen, "ShanghaiTech/part_{}", "ground-truth")
    copy = "shanghaitech_h5_empty/ShanghaiTech/part_A/train_data"
    content[f"{copy}/images/IMG_1.jpg"] = pen.encoded("", NAMES[0])
    content[f"{copy}/ground-truth/GT_IMG_1.mat"] = _heads(700)
    write_zip(folder / "shanghaitech.zip", content)


def write_authors(folder: Path, pen: Pen) -> None:
    """The authors' folders."""
    write_zip(folder / "ShanghaiTech_Crowd_Counting_Dataset.zip", _content(pen, "part_{}_final", "ground_truth"))


def _content(pen: Pen, root: str, ground: str) -> dict[str, bytes]:
    content = {}
    for turn, (part, split) in enumerate((("A", "train"), ("A", "test"), ("B", "train"), ("B", "test"))):
        folder = f"{root.format(part)}/{split}_data"
        for number in range(1, 12 if turn == 3 else 11):
            label = min(number - 1, 9)
            content[f"{folder}/images/IMG_{number}.jpg"] = pen.encoded(
                split, NAMES[label], size=(40, 30), mode="L" if number == 2 else "RGB"
            )
            content[f"{folder}/{ground}/GT_IMG_{number}.mat"] = _heads(count_of(label, turn))
    return content


def _heads(count: int) -> bytes:
    """A MATLAB file with the places of heads, with the same text at its start every time instead of the date."""
    cell = np.empty((1, 1), object)
    cell[0, 0] = {"location": np.full((count, 2), 7.5), "number": float(count)}
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"image_info": cell})
    return b"MATLAB 5.0 MAT-file".ljust(116) + buffer.getvalue()[116:]
