"""PASCAL VOC 2006: ten classes; an image with several counts for the last of them by name, as in NEVIS'22.

Images whose objects are all difficult (0 in the lists) are left out.

Differs from NEVIS'22's code: it draws validation images from train and val together; here they are the authors' val.
The challenge itself counts several classes per image.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.errors import DataError

_SITE = "http://host.robots.ox.ac.uk/pascal/VOC"
_ROOT = "VOCdevkit/VOC2006"
_CLASSES = ("bicycle", "bus", "car", "cat", "cow", "dog", "horse", "motorbike", "person", "sheep")


def _read(files: Files) -> Listing:
    return by_class(files, {split: _images(files, split) for split in ("train", "val", "test")}, _CLASSES)


def _images(files: Files, kind: str) -> list[tuple[str, str]]:
    """ImageSets/CLASS_SET.txt: a line has the name of an image and 1 (present), 0 (difficult) or -1 (absent)."""
    labels: dict[str, str] = {}
    for each in _CLASSES:
        path = f"{_ROOT}/ImageSets/{each}_{kind}.txt"
        for line in files.lines(path):
            name, _, present = line.partition(" ")
            if present.strip() not in ("1", "0", "-1"):
                raise DataError(f"{path} of {files.where} has a line {line[:60]!r} that is no image and 1, 0 or -1.")
            if present.strip() == "1":
                labels[name] = each
    return [(f"{_ROOT}/PNGImages/{name}.png", each) for name, each in sorted(labels.items())]


RELEASE = Release(
    name="pascal_voc2006",
    title="PASCAL VOC 2006",
    files=(
        OfficialFile(
            "voc2006_trainval.tar",
            (f"{_SITE}/download/voc2006_trainval.tar",),
            md5="af06612e5ad9863bde6fa7aae55f8866",
            holds=(f"{_ROOT}/PNGImages", f"{_ROOT}/ImageSets", f"{_ROOT}/ImageSets/sheep_train.txt"),
        ),
        OfficialFile(
            "voc2006_test.tar",
            (f"{_SITE}/download/voc2006_test.tar",),
            md5="6bd028d82d057621c4fc69e9c56517ef",
            holds=(f"{_ROOT}/PNGImages", f"{_ROOT}/ImageSets", f"{_ROOT}/ImageSets/sheep_test.txt"),
        ),
    ),
    read=_read,
    classes=len(_CLASSES),
    images=0,
    licence="none stated; research",
    citation="Everingham et al., The PASCAL Visual Object Classes Challenge 2006 (VOC2006) Results, 2006",
    page=f"{_SITE}/databases.html",
    checked=HANDLERS,
)
