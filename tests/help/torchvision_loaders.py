"""torchvision's loaders on a miniature: one function per release, which yields split, pixels and names of classes.

A function gets the folder with the published files and an empty folder, into which it may unpack them in the layout
that torchvision wants.
"""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torchvision import datasets

Row = tuple[str, np.ndarray, tuple[str, ...]]


def voc_2007(folder: Path, unpacked: Path) -> Iterator[Row]:
    """VOCDetection, with the classes of all objects."""
    for archive in folder.glob("*.tar"):
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked, filter="data")
    for split in ("train", "val", "test"):
        for image, target in datasets.VOCDetection(unpacked, "2007", split):
            classes = {each["name"] for each in target["annotation"]["object"]}
            yield split, np.asarray(image), tuple(sorted(classes))


def patch_camelyon(folder: Path, unpacked: Path) -> Iterator[Row]:
    """PCAM."""
    (unpacked / "pcam").mkdir()
    for archive in folder.glob("*.gz"):
        (unpacked / "pcam" / archive.stem).write_bytes(gzip.decompress(archive.read_bytes()))
    for split in ("train", "val", "test"):
        for image, label in datasets.PCAM(unpacked, split):
            yield split, np.asarray(image), (("normal", "tumour")[label],)
