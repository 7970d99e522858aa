"""Food-101: 101 dishes, with lists of 750 training and 250 test images of each."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release


def _read(files: Files) -> Listing:
    """The images that meta/train.txt and meta/test.txt name, without their suffix; a line begins with the class."""
    return by_class(
        files,
        {
            split: [
                (f"food-101/images/{line}.jpg", line.partition("/")[0])
                for line in files.lines(f"food-101/meta/{split}.txt")
            ]
            for split in ("train", "test")
        },
        files.lines("food-101/meta/classes.txt"),
    )


RELEASE = Release(
    name="food101",
    title="Food-101",
    files=(
        OfficialFile(
            "food-101.tar.gz",
            ("http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",),
            md5="85eeb15f3717b99a5da872d97d918f87",
            holds=("food-101/images", "food-101/meta"),
        ),
    ),
    read=_read,
    classes=101,
    images=101_000,
    licence="none stated; photos of Foodspotting, scientific fair use",
    citation="Bossard, Guillaumin, Van Gool, Food-101: Mining Discriminative Components with Random Forests, ECCV 2014",
    page="https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/",
    checked=TORCHVISIONS,
)
