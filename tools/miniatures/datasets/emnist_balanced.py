"""EMNIST, balanced, in little: two training images and one test image of each class."""

from __future__ import annotations

import gzip
from pathlib import Path

from cl.data.releases.emnist_balanced import CHARACTERS
from tools.miniatures.idx import digits
from tools.miniatures.packing import write_files, write_zip
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """gzip.zip with gzip/emnist-SPLIT-NAME.gz, of which those of other splits are not used, and their mappings."""
    content = {f"gzip/{name}.gz": gzip.compress(data, mtime=0) for name, data in _files(pen).items()}
    mapping = "".join(f"{label} {ord(each)}\n" for label, each in enumerate(CHARACTERS))
    content["gzip/emnist-balanced-mapping.txt"] = mapping.encode()
    images, labels = digits(pen, "", "0123456789", 1)
    content["gzip/emnist-digits-train-images-idx3-ubyte.gz"] = gzip.compress(images, mtime=0)
    content["gzip/emnist-digits-train-labels-idx1-ubyte.gz"] = gzip.compress(labels, mtime=0)
    write_zip(folder / "gzip.zip", content)


def write_torchvisions(folder: Path, pen: Pen) -> None:
    """The unpacked files, as torchvision leaves them in EMNIST/raw/."""
    write_files(folder, _files(pen))


def _files(pen: Pen) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for split, each in (("train", 2), ("test", 1)):
        images, labels = digits(pen, split, CHARACTERS, each)
        files[f"emnist-balanced-{split}-images-idx3-ubyte"] = images
        files[f"emnist-balanced-{split}-labels-idx1-ubyte"] = labels
    return files
