"""Oxford Flowers 17: 80 images of each kind of flower, with the first of the authors' three splits, as in NEVIS'22."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.matlab import numbers
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.data.official.tables import listed
from cl.errors import DataError

_PAGE = "https://www.robots.ox.ac.uk/~vgg/data/flowers/17/"
_EACH = 80
"""Images of a class: the first 80 are daffodils."""

CLASSES = listed(
    """daffodil, snowdrop, lily of the valley, bluebell, crocus, iris, tiger lily, tulip, fritillary, sunflower, daisy,
    colt's foot, dandelion, cowslip, buttercup, windflower, pansy"""
)
"""The classes in the authors' order."""


def _read(files: Files) -> Listing:
    rows = {}
    for split, key in {"train": "trn1", "val": "val1", "test": "tst1"}.items():
        chosen = numbers(files, "datasplits.mat", key)
        if not set(chosen) <= set(range(1, _EACH * len(CLASSES) + 1)):
            raise DataError(f"datasplits.mat of {files.where} names images that do not exist; get it again.")
        rows[split] = [(f"jpg/image_{number:04}.jpg", CLASSES[(number - 1) // _EACH]) for number in chosen]
    return by_class(files, rows, CLASSES)


RELEASE = Release(
    name="oxford_flowers_17",
    title="Oxford Flowers 17",
    files=(
        OfficialFile(
            "17flowers.tgz",
            (f"{_PAGE}17flowers.tgz",),
            md5="b59a65d8d1a99cd66944d474e1289eab",
            holds=("jpg",),
        ),
        OfficialFile("datasplits.mat", (f"{_PAGE}datasplits.mat",), md5="4828cddfd0d803c5abbdebcb1e148a1e"),
    ),
    read=_read,
    classes=17,
    images=1_360,
    licence="none stated; research",
    citation="Nilsback, Zisserman, A Visual Vocabulary for Flower Classification, CVPR 2006",
    page=_PAGE,
    checked=HANDLERS,
    folders=("flowers-17", "flowers17"),
)
