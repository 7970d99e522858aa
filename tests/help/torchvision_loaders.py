"""torchvision's loaders on a miniature: one function per release, which yields split, pixels and names of classes.

A function gets the folder with the published files and an empty folder, into which it may unpack them in the layout
that torchvision wants.
"""

from __future__ import annotations

import shutil
import tarfile
from collections import Counter
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from unittest import mock

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


def oxford_flowers102(folder: Path, unpacked: Path) -> Iterator[Row]:
    """Flowers102, without its check sums."""
    root = unpacked / "flowers-102"
    shutil.copytree(folder, root)
    with tarfile.open(root / "102flowers.tgz") as tar:
        tar.extractall(root, filter="data")
    found = {key: (name, None) for key, (name, _) in datasets.Flowers102._file_dict.items()}
    with mock.patch.object(datasets.Flowers102, "_file_dict", found):
        for split in ("train", "val", "test"):
            loaded = datasets.Flowers102(unpacked, split)
            for image, label in loaded:
                yield split, np.asarray(image), (loaded.classes[label].rstrip("?"),)


def caltech256(folder: Path, unpacked: Path) -> Iterator[Row]:
    """Caltech256, whose categories are folders."""
    root = unpacked / "caltech256"
    with tarfile.open(folder / "256_ObjectCategories.tar") as tar:
        tar.extractall(root, filter="data")
    loaded = datasets.Caltech256(str(unpacked))
    for image, label in loaded:
        yield "all", np.asarray(image), (loaded.categories[label].partition(".")[2],)


def imagenet2012(folder: Path, unpacked: Path) -> Iterator[Row]:
    """ImageNet, with the check sums of the miniature's archives."""
    shutil.copytree(folder, unpacked, dirs_exist_ok=True)
    archives = datasets.imagenet.ARCHIVE_META
    sums = {key: (name, md5((folder / name).read_bytes()).hexdigest()) for key, (name, _) in archives.items()}
    with mock.patch.dict(archives, sums):
        for split, ours in (("train", "train"), ("val", "test")):
            loaded = datasets.ImageNet(unpacked, split)
            firsts = Counter(names[0] for names in loaded.classes)
            for image, label in loaded:
                first = loaded.classes[label][0]
                yield ours, np.asarray(image), (first if firsts[first] == 1 else f"{first} ({loaded.wnids[label]})",)


def voc_2012(folder: Path, unpacked: Path) -> Iterator[Row]:
    """As VOC 2007; its validation images are tested."""
    with tarfile.open(folder / "VOCtrainval_11-May-2012.tar") as tar:
        tar.extractall(unpacked, filter="data")
    for split, ours in (("train", "train"), ("val", "test")):
        for image, target in datasets.VOCDetection(unpacked, "2012", split):
            classes = {each["name"] for each in target["annotation"]["object"]}
            yield ours, np.asarray(image), tuple(sorted(classes))
