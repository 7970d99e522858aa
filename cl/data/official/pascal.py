"""Layouts of the PASCAL VOC challenges."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree

from cl.data.official.files import Files
from cl.data.official.listing import Listing, many_classes
from cl.errors import DataError

CLASSES = tuple(
    """aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep
    sofa train tvmonitor""".split()  # noqa: SIM905
)
"""The 20 classes since 2007."""


def classified(files: Files, root: str, sets: Mapping[str, str]) -> Listing:
    """The classification task: `sets` gives the name of the image set of each split.

    ImageSets/Main/SET.txt names the images of a set. An image has the classes of all objects in its annotation, those
    marked as difficult too, as in NEVIS'22; the challenge does not count images with difficult objects alone.
    """
    rows = {
        split: [
            (f"{root}/JPEGImages/{name}.jpg", objects(files, f"{root}/Annotations/{name}.xml"))
            for name in files.lines(f"{root}/ImageSets/Main/{kind}.txt")
        ]
        for split, kind in sets.items()
    }
    return many_classes(files, rows, CLASSES)


def objects(files: Files, name: str) -> list[str]:
    """The classes of the objects in an annotation file, in its order. Raises `DataError`."""
    return [found.text or "" for found in annotation(files, name).iterfind("object/name")]


def annotation(files: Files, name: str) -> ElementTree.Element:
    """The content of an annotation file. Raises `DataError`."""
    try:
        return ElementTree.fromstring(files.read(name))
    except ElementTree.ParseError as error:
        raise DataError(f"{name} of {files.where} is no XML ({error}); replace it.") from error
