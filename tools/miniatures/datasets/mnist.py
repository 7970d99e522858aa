"""MNIST in little: two training and one test image of each digit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.miniatures.idx import idx
from tools.miniatures.packing import write_gz
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """The four files, each compressed with gzip."""
    for split, name, count in (("train", "train", 20), ("test", "t10k", 10)):
        labels = [place % 10 for place in range(count)]
        images = [np.asarray(pen.draw(split, str(label), size=(28, 28), mode="L")) for label in labels]
        write_gz(folder / f"{name}-images-idx3-ubyte.gz", idx(np.array(images)))
        write_gz(folder / f"{name}-labels-idx1-ubyte.gz", idx(np.array(labels)))
