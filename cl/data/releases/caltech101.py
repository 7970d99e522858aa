"""Caltech 101: photographs of 101 kinds of objects, and a class of background.

The zip holds the images as a compressed tar, which `read` opens in it; a copy unpacked to its images is read too. The
class BACKGROUND_Google counts, as in tensorflow_datasets and in NEVIS'22; torchvision's loader leaves it out. The
authors publish no split. tensorflow_datasets draws 30 training images of each class with a seed of its own.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release

_PACKED = "caltech-101/101_ObjectCategories.tar.gz"


def _read(files: Files) -> Listing:
    images = files.inside(_PACKED) if _PACKED in files else files
    found = images.match(r"101_ObjectCategories/([^/]+)/image_\d+\.jpg")
    return by_class(images, {"all": [(name, each[1]) for name, each in found]})


RELEASE = Release(
    name="caltech101",
    title="Caltech 101",
    files=(
        OfficialFile(
            "caltech-101.zip",
            ("https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",),
            size=137_414_764,
            md5="3138e1922a9193bfa496528edbbc45d0",
            holds=(_PACKED,),
        ),
    ),
    also=((OfficialFile("101_ObjectCategories.tar.gz", holds=("101_ObjectCategories",)),),),
    read=_read,
    classes=102,
    images=9_144,
    licence="CC BY 4.0",
    citation="Fei-Fei, Fergus, Perona, Learning generative visual models from few training examples, CVPRW 2004",
    page="https://data.caltech.edu/records/mzrjq-6wc02",
    checked=TORCHVISIONS,
    folders=("caltech-101", "caltech101/caltech-101"),
)
