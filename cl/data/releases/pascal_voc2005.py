"""PASCAL VOC 2005: bicycles, cars, motorbikes and people, one class per image by its folder.

The training images come from voc2005_1, the test images from the harder second test set voc2005_2, as in NEVIS'22.
Folders of test images in voc2005_1 (ETHZ_motorbike-testset, UIUC_TestImages and others) are left out. The challenge
itself counts several classes per image.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_SITE = "http://host.robots.ox.ac.uk/pascal/VOC"
_TRAIN = {
    "Caltech_cars": "car",
    "Caltech_motorbikes_side": "motorbike",
    "ETHZ_sideviews-cars": "car",
    "TUGraz_bike": "bicycle",
    "TUGraz_cars": "car",
    "TUGraz_person": "person",
}
_TEST = {
    "INRIA_graz-person-test": "person",
    "INRIA_inria-person-test": "person",
    "bicycle": "bicycle",
    "bike": "bicycle",
    "car": "car",
    "motocyclette": "motorbike",
    "motorbike": "motorbike",
    "motorcycle": "motorbike",
    "pedestrian": "person",
    "pieton": "person",
    "velo": "bicycle",
    "voiture": "car",
}
"""Folders of images and their classes."""


def _read(files: Files) -> Listing:
    return by_class(files, {"train": _images(files, "VOC2005_1", _TRAIN), "test": _images(files, "VOC2005_2", _TEST)})


def _images(files: Files, root: str, folders: dict[str, str]) -> list[tuple[str, str]]:
    found = files.match(rf"{root}/PNGImages/({'|'.join(folders)})/[^/]+\.png")
    return [(name, folders[each[1]]) for name, each in found]


RELEASE = Release(
    name="pascal_voc2005",
    title="PASCAL VOC 2005",
    files=tuple(
        OfficialFile(
            f"voc2005_{number}.tar.gz",
            (f"{_SITE}/download/voc2005_{number}.tar.gz",),
            md5=md5,
            holds=(f"VOC2005_{number}/PNGImages",),
        )
        for number, md5 in ((1, "6fbeaee73a81c462b190ca837b977896"), (2, "15ec3d318b84ffdfa25f1e05de0014e2"))
    ),
    read=_read,
    classes=4,
    images=0,
    licence="none stated; research",
    citation="Everingham et al., The 2005 PASCAL Visual Object Classes Challenge, 2006",
    page=f"{_SITE}/databases.html",
    checked=HANDLERS,
)
