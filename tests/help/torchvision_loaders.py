"""torchvision's loaders on a miniature: one function per release, which yields split, pixels and names of classes.

A function gets the folder with the published files and an empty folder, into which it may unpack them in the layout
that torchvision wants.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from unittest import mock
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


def patch_camelyon(folder: Path, unpacked: Path) -> Iterator[Row]:
    """PCAM."""
    (unpacked / "pcam").mkdir()
    for archive in folder.glob("*.gz"):
        (unpacked / "pcam" / archive.stem).write_bytes(gzip.decompress(archive.read_bytes()))
    for split in ("train", "val", "test"):
        for image, label in datasets.PCAM(unpacked, split):
            yield split, np.asarray(image), (("normal", "tumour")[label],)


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
