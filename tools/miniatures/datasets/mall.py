"""Mall in little: all 2,000 frames, smaller; ten classes of counts."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import scipy.io

from tools.miniatures.counting import NAMES, count_of
from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """mall_dataset.zip with frames/seq_NUMBER.jpg, counted from 1, the counts and other matrices."""
    labels = [9, *(place % 10 for place in range(1, 2000))]
    counts = [count_of(label, place // 10) for place, label in enumerate(labels)]
    counts[10] = count_of(0, 0)  # the lowest count of the first class; frame 1 has another class
    content = {
        f"mall_dataset/frames/seq_{place + 1:06}.jpg": pen.encoded(
            "train" if place < 800 else "test", NAMES[label], size=(16, 12)
        )
        for place, label in enumerate(labels)
    }
    heads = np.empty((1, len(counts)), object)
    for place, count in enumerate(counts):
        heads[0, place] = {"loc": np.zeros((min(count, 2), 2))}
    content["mall_dataset/mall_gt.mat"] = _mat({"count": np.array(counts, np.uint8)[:, None], "frame": heads[:, :20]})
    content["mall_dataset/perspective_roi.mat"] = _mat({"pMapN": np.zeros((2, 2))})
    content["mall_dataset/mall_feat.mat"] = _mat({"x": np.zeros((2, 2))})
    content["mall_dataset/readme.txt"] = b"Mall dataset\n"
    write_zip(folder / "mall_dataset.zip", content)


def _mat(variables: dict[str, np.ndarray]) -> bytes:
    """A MATLAB file, with the same text at its start every time instead of the date."""
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, variables)
    return b"MATLAB 5.0 MAT-file".ljust(116) + buffer.getvalue()[116:]
