"""Tiny ImageNet: 200 classes of ImageNet, 64 x 64 pixels; 500 training images and 50 validation images of each.

The authors keep the labels of the test images, so the validation images are the test images, as in NEVIS'22. Classes
are in the order of their WordNet numbers and have the names of words.txt.
"""

from __future__ import annotations

import re

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_ROOT = "tiny-imagenet-200"


def _read(files: Files) -> Listing:
    """A training image is in the folder of its class; val_annotations.txt has name and class of the others."""
    ids = sorted(files.lines(f"{_ROOT}/wnids.txt"))
    words = dict(line.partition("\t")[::2] for line in files.lines(f"{_ROOT}/words.txt"))
    names = {each: words.get(each, each) for each in ids}
    train = files.match(rf"{_ROOT}/train/(n\d+)/images/[^/]+\.JPEG")
    return by_class(
        files,
        {
            "train": [(path, names.get(found[1], found[1])) for path, found in train],
            "test": [(path, names.get(each, each)) for path, each in _validation(files)],
        },
        tuple(names.values()),
    )


def _validation(files: Files) -> list[tuple[str, str]]:
    """Paths and classes of the validation images, which many scripts put into folders of their classes."""
    below = re.compile(rf"{_ROOT}/val/(?:images/)?(n\d+)/(?:images/)?[^/]+\.JPEG")
    if sorted_by_class := [(name, found[1]) for name in files.names if (found := below.fullmatch(name))]:
        return sorted_by_class
    lines = [line.split("\t")[:2] for line in files.lines(f"{_ROOT}/val/val_annotations.txt")]
    return [(f"{_ROOT}/val/images/{name}", each) for name, each in lines]


RELEASE = Release(
    name="tiny_imagenet",
    title="Tiny ImageNet",
    files=(
        OfficialFile(
            "tiny-imagenet-200.zip",
            ("http://cs231n.stanford.edu/tiny-imagenet-200.zip",),
            248_100_043,
            "90528d7ca1a48142e341f4ef8d21d0de",
            holds=(_ROOT,),
        ),
    ),
    read=_read,
    classes=200,
    images=110_000,
    licence="as ImageNet: non-commercial research and education",
    citation="Le, Yang, Tiny ImageNet Visual Recognition Challenge, CS 231N, 2015",
    page="http://cs231n.stanford.edu/",
    checked=HANDLERS,
)
