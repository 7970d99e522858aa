"""Datasets of torchvision by the names of their classes there, read by torchvision itself from its own layout."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cl.data import reads
from cl.data.images import native, readable
from cl.data.official.listing import Examples, Listing, drawn, learnable
from cl.data.official.storing import stored
from cl.data.sources import TORCHVISION, announce, candidates, is_offline, missing
from cl.data.store import Dataset, PixelArray, Progress
from cl.errors import DataError, UsageError, did_you_mean
from cl.files import make_folder
from cl.paths import home

READER = 1
"""Version of the decoding; increased when the same files would give other pixels."""

LICENCE = "not stated by torchvision, see the page of the dataset"

_LABELS = ("targets", "labels", "_labels", "y")
_SAMPLES = ("_samples", "samples")


@dataclass(frozen=True)
class Known:
    """How torchvision's class is called: arguments of the training and the test images (none: it has no split).

    `files` are names in its root. `side` is the size of the images if all have one, else 0; `grey` says that they have
    one channel. `left` are splits that are not read.
    """

    files: tuple[str, ...]
    train: Mapping[str, Any] = field(default_factory=dict)
    test: Mapping[str, Any] | None = None
    side: int = 0
    grey: bool = False
    left: str = ""


_TRAIN: tuple[Mapping[str, Any], Mapping[str, Any]] = {"train": True}, {"train": False}
_SPLIT: tuple[Mapping[str, Any], Mapping[str, Any]] = {"split": "train"}, {"split": "test"}
_BALANCED = ({"split": "balanced", "train": True}, {"split": "balanced", "train": False})

KNOWN: Mapping[str, Known] = {
    "CIFAR10": Known(("cifar-10-batches-py",), *_TRAIN, side=32),
    "CIFAR100": Known(("cifar-100-python",), *_TRAIN, side=32),
    "Caltech101": Known(("caltech101",)),
    "Caltech256": Known(("caltech256",)),
    "Country211": Known(("country211",), *_SPLIT, left="valid"),
    "DTD": Known(("dtd",), *_SPLIT, left="val"),
    "EMNIST": Known(("EMNIST",), *_BALANCED, side=28, grey=True),
    "EuroSAT": Known(("eurosat",), side=64),
    "FGVCAircraft": Known(("fgvc-aircraft-2013b",), {"split": "trainval"}, {"split": "test"}),
    "FashionMNIST": Known(("FashionMNIST",), *_TRAIN, side=28, grey=True),
    "Flowers102": Known(("flowers-102",), *_SPLIT, left="val"),
    "Food101": Known(("food-101",), *_SPLIT),
    "GTSRB": Known(("gtsrb",), *_SPLIT),
    "Imagenette": Known(("imagenette2",), {"split": "train"}, {"split": "val"}),
    "KMNIST": Known(("KMNIST",), *_TRAIN, side=28, grey=True),
    "MNIST": Known(("MNIST",), *_TRAIN, side=28, grey=True),
    "OxfordIIITPet": Known(("oxford-iiit-pet",), {"split": "trainval"}, {"split": "test"}),
    "QMNIST": Known(("QMNIST",), *_TRAIN, side=28, grey=True),
    "RenderedSST2": Known(("rendered-sst2",), *_SPLIT, side=448, left="val"),
    "STL10": Known(("stl10_binary",), *_SPLIT, side=96),
    "SUN397": Known(("SUN397",)),
    "SVHN": Known(("train_32x32.mat", "test_32x32.mat"), *_SPLIT, side=32),
    "StanfordCars": Known(("stanford_cars",), *_SPLIT),
    "USPS": Known(("usps.bz2", "usps.t.bz2"), *_TRAIN, side=16, grey=True),
}
"""The datasets with one class per image; EMNIST is its split "balanced"."""


def known(name: str) -> Known:
    """The dataset called `name`; raises `UsageError` for other names."""
    if name not in KNOWN:
        same = next((each for each in KNOWN if each.lower() == name.lower()), "")
        hint = f" Did you mean '{same}'?" if same else did_you_mean(name, list(KNOWN))
        raise UsageError(f"torchvision:{name} is none of the datasets that clbench reads: {', '.join(KNOWN)}.{hint}")
    return KNOWN[name]


def read(name: str, size: int, *, test_fraction: float, split_seed: int, progress: Progress | None = None) -> Dataset:
    """A dataset in torchvision's layout, decoded to [size, size] once and cached; downloaded by it if it is not here.

    It is searched in the folders of CLBENCH_DATA_PATH and in their `torchvision/`, then in the cache. Of a dataset
    without a split `test_fraction` of every class is drawn with `split_seed`. Raises `UsageError` for an unknown name,
    `DataError` for what is missing or cannot be read.
    """
    about = known(name)
    root, found = _root(name, about)
    parts = {"train": about.train} | ({"test": about.test} if about.test is not None else {})
    opened = {split: _open(name, root, found, given) for split, given in parts.items()}
    paths = [root / file for file in about.files]
    reads.note(*paths)
    stamp = " ".join(reads.Stamp.of(path).quick for path in paths)
    labels = {split: _labels(each) for split, each in opened.items()}
    names = _class_names(opened["train"], 1 + max(int(each.max()) for each in labels.values()))
    splits = {split: _examples(name, split, opened[split], labels[split], stamp) for split in opened}
    notes = (f"Left out: the images of the split {about.left} of {name}.",) if about.left else ()
    if about.test is None:
        listing = drawn(Listing(names, {"all": splits["train"]}, notes), test_fraction, split_seed)
    else:
        listing = Listing(names, splits, notes)
    listing = learnable(listing)
    stores = {
        split: stored(f"{name} {split}", f"torchvision {READER} {name} {split}", each, size, progress, grey=about.grey)
        for split, each in listing.splits.items()
        if split in ("train", "test")
    }
    return Dataset(
        name=name, train=stores["train"], test=stores["test"], class_names=listing.class_names,
        origin=f"{root} (torchvision's layout)", licence=LICENCE, citation=f"torchvision.datasets.{name}",
        notes=listing.notes,
    )  # fmt: skip


def _root(name: str, about: Known) -> tuple[Path, bool]:
    """The root to give to torchvision, and whether the dataset is there; else it is downloaded to it."""
    found = next(candidates(about.files, (TORCHVISION,)), None)
    if found is not None:
        return found[0].parent, True
    if is_offline():
        raise missing(f"torchvision's dataset {name}", [" + ".join(about.files)])
    announce(f"{name} by torchvision", LICENCE, f"torchvision.datasets.{name}")
    root = home() / "data" / TORCHVISION
    make_folder(root)
    return root, False


def _open(name: str, root: Path, found: bool, given: Mapping[str, Any]) -> Any:
    from torchvision import datasets

    reader = getattr(datasets, name, None)
    if reader is None:
        raise UsageError(f"torchvision has no dataset {name} in this version; run: pip install --upgrade torchvision.")
    try:
        with redirect_stdout(sys.stderr):
            return reader(str(root), **given, **({} if found else {"download": True}))
    except Exception as error:  # torchvision raises many types for damaged files and server errors
        what = "cannot be read; put the whole dataset there" if found else "could not be downloaded; check the network"
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{name} in {root} {what} and run again ({reason}).") from error


def _labels(opened: Any) -> np.ndarray:
    """The label of each image, without decoding images where torchvision keeps a list that agrees with them."""
    probes = sorted({0, len(opened) // 2, len(opened) - 1})
    truth = [int(opened[index][1]) for index in probes]
    listed = [getattr(opened, key, None) for key in _LABELS]
    listed += [[each[1] for each in rows] for rows in (getattr(opened, key, None) for key in _SAMPLES) if rows]
    for values in listed:
        try:
            found = np.asarray(values)
            found = (found[:, 0] if found.ndim == 2 else found).astype(np.int64, casting="same_kind")
        except (TypeError, ValueError):
            continue
        if found.shape == (len(opened),) and [int(found[index]) for index in probes] == truth:
            return found
    return np.array([int(opened[index][1]) for index in range(len(opened))], np.int64)


def _class_names(opened: Any, count: int) -> tuple[str, ...]:
    """The names that the dataset has, else numbers."""
    for key in ("classes", "categories"):
        names: Sequence[Any] = getattr(opened, key, None) or ()
        if len(names) >= count and len(set(map(str, names))) == len(names):
            return tuple(map(str, names))
    return tuple(map(str, range(count)))


def _examples(name: str, split: str, opened: Any, labels: np.ndarray, stamp: str) -> Examples:
    def decode(index: int) -> PixelArray:
        with readable(f"{index} of the {split} images of {name}"):
            return native(opened[index][0])

    return Examples(labels, decode, lambda: (f"{name} {split} {stamp} {index}" for index in range(len(labels))))
