"""PACS: seven kinds of objects in photos, art paintings, cartoons and sketches, 227 x 227 pixels.

Sketches are the test images and the other domains the training images, as in NEVIS'22; the authors publish random parts
of each domain instead. They publish arrays, which need h5py (`pip install 'clbench[hdf5]'`), and image files.

Differs from NEVIS'22's code: of the twelve files of arrays only NAME_test.hdf5 are read, which hold all images of a
domain; there all are read and repeated images are left out, also those that the authors have twice.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from cl.data.official.files import Files
from cl.data.official.hdf5 import array
from cl.data.official.listing import Examples, Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.data.store import PixelArray
from cl.errors import DataError

_DOMAINS = ("art_painting", "cartoon", "photo", "sketch")
_CLASSES = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
_TITLE = "PACS"
_HOLDOUT = "sketch"


def _read(files: Files) -> Listing:
    if f"{_HOLDOUT}_test.hdf5" not in files:
        return _images(files)
    return Listing(
        _CLASSES,
        {
            "train": _arrays(files, [f"{domain}_test.hdf5" for domain in _DOMAINS if domain != _HOLDOUT]),
            "test": _arrays(files, [f"{_HOLDOUT}_test.hdf5"]),
        },
    )


def _images(files: Files) -> Listing:
    """Image files in DOMAIN/CLASS/, in folders that differ by who packed them."""
    rows: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}
    for name, found in files.match(rf"(?:.*/)?({'|'.join(_DOMAINS)})/([a-z]+)/[^/]+\.(?:jpg|png)"):
        rows["test" if found[1] == _HOLDOUT else "train"].append((name, found[2]))
    return by_class(files, rows, _CLASSES)


def _arrays(files: Files, names: list[str]) -> Examples:
    """`images` are numbers from 0 to 255, blue first: [N, 227, 227, 3]; `labels` are counted from 1."""
    images = [array(files, name, "images", _TITLE) for name in names]
    labels = [np.asarray(array(files, name, "labels", _TITLE)).astype(np.int64) - 1 for name in names]
    places = [(file, row) for file, pixels in enumerate(images) for row in range(len(pixels))]
    numbers = np.concatenate(labels)
    if [len(each) for each in images] != [len(each) for each in labels] or not np.isin(numbers, range(7)).all():
        raise DataError(f"The labels in {' or '.join(names)} of {files.where} do not fit the images; get it again.")

    def decode(index: int) -> PixelArray:
        file, row = places[index]
        try:
            return np.asarray(images[file][row])[..., ::-1].astype(np.uint8)
        except (OSError, RuntimeError) as error:
            raise DataError(f"Cannot read image {row} of {names[file]} ({error}); get the file again.") from error

    def identity() -> Iterable[str]:
        for name in names:
            yield f"{name}\t{files.stamp(name)}"

    return Examples(numbers, decode, identity)


RELEASE = Release(
    name="pacs",
    title=_TITLE,
    files=tuple(OfficialFile(f"{domain}_{part}.hdf5") for domain in _DOMAINS for part in ("test", "train", "val")),
    also=(
        tuple(OfficialFile(f"{domain}_test.hdf5") for domain in _DOMAINS),
        (OfficialFile("PACS.zip", holds=("kfold",)),),
        (OfficialFile("PACS.zip", holds=_DOMAINS),),
    ),
    read=_read,
    classes=7,
    images=9_991,
    licence="none stated; research",
    citation="Li, Yang, Song, Hospedales, Deeper, Broader and Artier Domain Generalization, ICCV 2017",
    page="https://dali-dl.github.io/project_iccv2017.html",
    checked=HANDLERS,
    access="follow the link to Google Drive at https://dali-dl.github.io/project_iccv2017.html and download the files",
    folders=("PACS",),
)
