"""Describable Textures Dataset: 47 words that people use for textures, 120 photos each.

Ten splits are published; the first is used, as in NEVIS'22. It has 40 training, validation and test images of each
class.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release


def _read(files: Files) -> Listing:
    return by_class(
        files,
        {
            split: [(f"dtd/images/{line}", line.partition("/")[0]) for line in files.lines(f"dtd/labels/{split}1.txt")]
            for split in ("train", "val", "test")
        },
    )


RELEASE = Release(
    name="dtd",
    title="DTD",
    files=(
        OfficialFile(
            "dtd-r1.0.1.tar.gz",
            ("https://www.robots.ox.ac.uk/~vgg/data/dtd/download/dtd-r1.0.1.tar.gz",),
            size=625_239_812,
            md5="fff73e5086ae6bdbea199a49dfb8a4c1",
            sha256="e42855a52a4950a3b59612834602aa253914755c95b0cff9ead6d07395f8e205",
            holds=("dtd/images", "dtd/labels"),
        ),
    ),
    read=_read,
    classes=47,
    images=5_640,
    licence="research purposes",
    citation="Cimpoi, Maji, Kokkinos, Mohamed, Vedaldi, Describing Textures in the Wild, CVPR 2014",
    page="https://www.robots.ox.ac.uk/~vgg/data/dtd/",
    checked=TORCHVISIONS,
)
