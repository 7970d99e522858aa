"""Releases read from their miniatures, and the same miniatures read by other loaders."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np

from cl.data.official.listing import Examples, Listing
from cl.data.official.release import Found, OfficialFile, Release, find
from tools.miniatures import datasets
from tools.miniatures.pen import Pen, number_of

Rows = Counter[tuple[str, int, tuple[str, ...]]]
"""What was read: split, number of the picture, names of its classes; how often."""


def forms_of(name: str) -> tuple[str, ...]:
    """The functions that write a miniature in its forms: `write`, `write_kaggle`."""
    module = import_module(f"{datasets.__name__}.{name}")
    return tuple(each for each in vars(module) if each == "write" or (each.startswith("write_") and _own(module, each)))


def _own(module: object, name: str) -> bool:
    return getattr(getattr(module, name), "__module__", "") == getattr(module, "__name__", None)


def written(name: str, folder: Path, form: str = "write") -> Pen:
    """Write a miniature into FOLDER/NAME."""
    pen = Pen()
    (folder / name).mkdir(parents=True, exist_ok=True)
    getattr(import_module(f"{datasets.__name__}.{name}"), form)(folder / name, pen)
    return pen


def truth(pen: Pen) -> Rows:
    """What the reader should find."""
    return Counter((each.split, number, each.labels) for number, each in pen.truth.items() if each.split)


def read(listing: Listing) -> Rows:
    """What a reader found, by decoding every image."""
    rows: Rows = Counter()
    for split, examples in listing.splits.items():
        for index in range(len(examples)):
            rows[split, number_of(examples.decode(index)), _names(listing, examples, index)] += 1
    return rows


def _names(listing: Listing, examples: Examples, index: int) -> tuple[str, ...]:
    label = examples.labels[index]
    if examples.labels.ndim == 2:
        return tuple(name for name, has in zip(listing.class_names, label.tolist(), strict=True) if has)
    return (listing.class_names[int(label)],)


def located(release: Release) -> Found:
    """The copy on this machine."""
    found = find(release)
    assert found is not None, release.name
    return found


def remove(folder: Path, file: OfficialFile) -> None:
    """Delete a file of a miniature, or what it unpacks to if the miniature is unpacked."""
    if (folder / file.name).is_file():
        (folder / file.name).unlink()
    else:
        shutil.rmtree(folder / file.holds[0])


def unpack(folder: Path, target: Path, release: Release) -> None:
    """What a user has who unpacked every archive of a folder that has paths to recognise it; other files are copied."""
    for file in release.files:
        path = folder / file.name
        place = target / file.into
        place.mkdir(parents=True, exist_ok=True)
        if not path.is_file():  # the miniature is unpacked
            shutil.copytree(folder, target, dirs_exist_ok=True)
        elif file.holds and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                archive.extractall(place)
        elif file.holds and tarfile.is_tarfile(path):
            with tarfile.open(path) as archive:
                archive.extractall(place, filter="data")
        else:
            (target / file.name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target / file.name)


@cache
def torchvision_loaders() -> dict[str, Callable[[Path, Path], Iterable[tuple[str, np.ndarray, tuple[str, ...]]]]]:
    """torchvision's loader of each release that it reads, see `tests.help.torchvision_loaders`."""
    from tests.help import torchvision_loaders as module

    return {name: found for name, found in vars(module).items() if not name.startswith("_") and _own(module, name)}
