"""FGVC-Aircraft, families: 10,000 photos of 70 families of aircraft, such as Boeing 737.

The labels of manufacturers and variants are not read. The lowest 20 rows of a photo name its owner; they are kept, as
in NEVIS'22.

Differs from NEVIS'22's code: the published validation images are a split of their own; there they are training images.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release

_DATA = "fgvc-aircraft-2013b/data"


def _read(files: Files) -> Listing:
    """A line of a list is the number of an image and its family, which may contain spaces."""
    rows = {}
    for split in ("train", "val", "test"):
        lines = [line.partition(" ") for line in files.lines(f"{_DATA}/images_family_{split}.txt")]
        rows[split] = [(f"{_DATA}/images/{number}.jpg", family) for number, _, family in lines]
    return by_class(files, rows, files.lines(f"{_DATA}/families.txt"))


RELEASE = Release(
    name="fgvc_aircraft_family",
    title="FGVC Aircraft",
    files=(
        OfficialFile(
            "fgvc-aircraft-2013b.tar.gz",
            ("https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz",),
            md5="d4acdd33327262359767eeaa97a4f732",
            holds=(_DATA,),
        ),
    ),
    folders=("fgvc_aircraft", "fgvc-aircraft"),
    read=_read,
    classes=70,
    images=10_000,
    licence="non-commercial research",
    citation="Maji, Rahtu, Kannala, Blaschko, Vedaldi, Fine-Grained Visual Classification of Aircraft, 2013",
    page="https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/",
    checked=TORCHVISIONS,
)
