"""torchvision's loaders on a miniature: one function per release, which yields split, pixels and names of classes.

A function gets the folder with the published files and an empty folder, into which it may unpack them in the layout
that torchvision wants.
"""

from __future__ import annotations

import gzip
import tarfile
import zipfile
from collections.abc import Iterator
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


def cifar10(folder: Path, unpacked: Path) -> Iterator[Row]:
    """CIFAR10, from the unpacked batches."""
    yield from _cifar(datasets.CIFAR10, folder / "cifar-10-python.tar.gz", unpacked)


def cifar100(folder: Path, unpacked: Path) -> Iterator[Row]:
    """CIFAR100, with the 100 classes."""
    yield from _cifar(datasets.CIFAR100, folder / "cifar-100-python.tar.gz", unpacked)


def _cifar(kind: type[datasets.CIFAR10], archive: Path, unpacked: Path) -> Iterator[Row]:
    """Without the checks that the batches are the published ones."""
    _extract(archive, unpacked)
    for split in ("train", "test"):
        with mock.patch.object(kind, "_check_integrity", _passed), mock.patch.dict(kind.meta, md5=None):
            loaded = kind(unpacked, train=split == "train")
        for image, label in loaded:
            yield split, np.asarray(image), (loaded.classes[label],)


def svhn_cropped(folder: Path, unpacked: Path) -> Iterator[Row]:
    """SVHN without its extra images and the check that the files are the published ones; a class is a digit."""
    for split in ("train", "test"):
        with mock.patch.object(datasets.SVHN, "_check_integrity", _passed):
            loaded = datasets.SVHN(folder, split)
        for image, label in loaded:
            yield split, np.asarray(image), (str(label),)


def sun397(folder: Path, unpacked: Path) -> Iterator[Row]:
    """SUN397."""
    _extract(folder / "SUN397.tar.gz", unpacked)
    loaded = datasets.SUN397(unpacked)
    for image, label in loaded:
        yield "all", np.asarray(image), (loaded.classes[label],)


def dtd(folder: Path, unpacked: Path) -> Iterator[Row]:
    """DTD, the first partition."""
    _extract(folder / "dtd-r1.0.1.tar.gz", unpacked / "dtd")
    for split in ("train", "val", "test"):
        loaded = datasets.DTD(unpacked, split)
        for image, label in loaded:
            yield split, np.asarray(image), (loaded.classes[label],)


def fgvc_aircraft_family(folder: Path, unpacked: Path) -> Iterator[Row]:
    """FGVCAircraft with families."""
    _extract(folder / "fgvc-aircraft-2013b.tar.gz", unpacked)
    for split in ("train", "val", "test"):
        loaded = datasets.FGVCAircraft(unpacked, split, "family")
        for image, label in loaded:
            yield split, np.asarray(image), (loaded.classes[label],)


def oxford_iiit_pet(folder: Path, unpacked: Path) -> Iterator[Row]:
    """OxfordIIITPet, whose names of breeds are made of those in file names."""
    for archive in folder.glob("*.tar.gz"):
        _extract(archive, unpacked / "oxford-iiit-pet")
    for split, called in (("train", "trainval"), ("test", "test")):
        loaded = datasets.OxfordIIITPet(unpacked, called)
        breeds = {_titled(path.stem.rpartition("_")[0]): path.stem.rpartition("_")[0] for path in loaded._images}
        for image, label in loaded:
            yield split, np.asarray(image), (breeds[loaded.classes[label]],)


def _titled(breed: str) -> str:
    return " ".join(part.title() for part in breed.split("_"))


def emnist_balanced(folder: Path, unpacked: Path) -> Iterator[Row]:
    """EMNIST, from the files without gzip."""
    raw = unpacked / "EMNIST" / "raw"
    raw.mkdir(parents=True)
    with zipfile.ZipFile(folder / "gzip.zip") as archive:
        for name in archive.namelist():
            if name.endswith(".gz"):
                (raw / Path(name).stem).write_bytes(gzip.decompress(archive.read(name)))
    for split in ("train", "test"):
        loaded = datasets.EMNIST(unpacked, "balanced", train=split == "train")
        for image, label in loaded:
            yield split, np.asarray(image), (loaded.classes[label],)


def usps(folder: Path, unpacked: Path) -> Iterator[Row]:
    """USPS; a class is a digit."""
    for split in ("train", "test"):
        for image, label in datasets.USPS(folder, split == "train"):
            yield split, np.asarray(image), (str(label),)


def semeion(folder: Path, unpacked: Path) -> Iterator[Row]:
    """SEMEION, without the check that the file is the published one; a class is a digit."""
    with mock.patch.object(datasets.SEMEION, "_check_integrity", _passed):
        loaded = datasets.SEMEION(folder, download=False)
    for image, label in loaded:
        yield "all", np.asarray(image), (str(label),)


def _passed(_: object) -> bool:
    return True


def _extract(archive: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")
