"""torchvision's loaders on a miniature: one function per release, which yields split, pixels and names of classes.

A function gets the folder with the published files and an empty folder, into which it may unpack them in the layout
that torchvision wants.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
from torchvision import datasets

Row = tuple[str, np.ndarray, tuple[str, ...]]


def caltech101(folder: Path, unpacked: Path) -> Iterator[Row]:
    """Caltech101, which leaves out the background, and ImageFolder for that."""
    with zipfile.ZipFile(folder / "caltech-101.zip") as archive:
        packed = archive.extract("caltech-101/101_ObjectCategories.tar.gz", unpacked)
    with tarfile.open(packed) as tar:
        tar.extractall(unpacked / "caltech101", filter="data")
    found = datasets.Caltech101(unpacked)
    for image, label in found:
        yield "all", np.asarray(image), (found.categories[label],)
    every = datasets.ImageFolder(unpacked / "caltech101" / "101_ObjectCategories")
    for image, label in every:
        if every.classes[label] == "BACKGROUND_Google":
            yield "all", np.asarray(image), ("BACKGROUND_Google",)


def mnist(folder: Path, unpacked: Path) -> Iterator[Row]:
    """MNIST, whose names of classes begin with the digit."""
    raw = unpacked / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for packed in folder.glob("*.gz"):
        (raw / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    for split, train in (("train", True), ("test", False)):
        found = datasets.MNIST(unpacked, train)
        for image, label in found:
            yield split, np.asarray(image), (found.classes[label].partition(" ")[0],)


def voc_2007(folder: Path, unpacked: Path) -> Iterator[Row]:
    """VOCDetection, with the classes of all objects."""
    for archive in folder.glob("*.tar"):
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked, filter="data")
    for split in ("train", "val", "test"):
        for image, target in datasets.VOCDetection(unpacked, "2007", split):
            classes = {each["name"] for each in target["annotation"]["object"]}
            yield split, np.asarray(image), tuple(sorted(classes))


def celeb_a(folder: Path, unpacked: Path) -> Iterator[Row]:
    """CelebA, with the names of the attributes that are set."""
    shutil.copytree(folder, unpacked / "celeba")
    with zipfile.ZipFile(folder / "img_align_celeba.zip") as archive:
        archive.extractall(unpacked / "celeba")
    for split, called in (("train", "train"), ("val", "valid"), ("test", "test")):
        with patch.object(
            datasets.CelebA, "_check_integrity", return_value=True
        ):  # the lists are not the published ones
            loaded = datasets.CelebA(unpacked, called)
        for image, attributes in loaded:
            names = zip(loaded.attr_names, attributes.tolist(), strict=False)  # torchvision adds an empty name
            yield split, np.asarray(image), tuple(name for name, has in names if has)


def fashion_mnist(folder: Path, unpacked: Path) -> Iterator[Row]:
    """FashionMNIST, from the files without gzip."""
    raw = unpacked / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for packed in folder.glob("*.gz"):
        (raw / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    for split in ("train", "test"):
        loaded = datasets.FashionMNIST(unpacked, train=split == "train")
        for image, label in loaded:
            yield split, np.asarray(image), (loaded.classes[label],)


def stl10(folder: Path, unpacked: Path) -> Iterator[Row]:
    """STL10; its unlabelled images have no class and are not read."""
    with tarfile.open(folder / "stl10_binary.tar.gz") as tar:
        tar.extractall(unpacked, filter="data")
    for split in ("train", "test"):
        with patch.object(
            datasets.STL10, "_check_integrity", return_value=True
        ):  # the files are not the published ones
            loaded = datasets.STL10(unpacked, split)
        for image, label in loaded:
            yield split, np.asarray(image), (loaded.classes[label],)


def food101(folder: Path, unpacked: Path) -> Iterator[Row]:
    """Food101, which reads the lists in JSON."""
    with tarfile.open(folder / "food-101.tar.gz") as tar:
        tar.extractall(unpacked, filter="data")
    for split in ("train", "test"):
        loaded = datasets.Food101(unpacked, split)
        for image, label in loaded:
            yield split, np.asarray(image), (loaded.classes[label],)
