"""Food-101N: photos of the 101 dishes of Food-101, found by search, of which about one in five shows something else.

NEVIS'22 uses the images that people verified: those of verified_train.tsv to train and those of verified_val.tsv to
test. It keeps the ones that they found wrong, with the dish that was searched for; so it is here. The other images have
no list of their own and are not read.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_ROOT = "Food-101N_release"
_LISTS = {"train": "verified_train.tsv", "test": "verified_val.tsv"}
_MOVED = "hot_and_sour_soup/a49e6fb26e356c6c41a37b5c18176355"
"""An image of verified_train.tsv that imagelist.tsv has under another dish."""


def _read(files: Files) -> Listing:
    """Lists with a header: DISH/NAME.jpg, tab, 1 if the image shows the dish and 0 if not."""
    rows: dict[str, list[tuple[str, str]]] = {}
    for split, name in _LISTS.items():
        lines = [line.partition("\t")[0] for line in files.lines(f"{_ROOT}/meta/{name}")[1:]]
        there = [each for each in lines if not each.startswith(_MOVED) or f"{_ROOT}/images/{each}" in files]
        rows[split] = [(f"{_ROOT}/images/{each}", each.partition("/")[0]) for each in there]
    return by_class(files, rows, files.lines(f"{_ROOT}/meta/classes.txt")[1:])


RELEASE = Release(
    name="food101n",
    title="Food-101N",
    files=(OfficialFile("Food-101N_release.zip", md5="596b41b48de43342ef1efbb2fd508e06", holds=(_ROOT,)),),
    read=_read,
    classes=101,
    images=0,
    licence="none stated; research",
    citation="Lee, He, Zhang, Yang, CleanNet: Transfer Learning for Scalable Image Classifier Training with Label "
    "Noise, CVPR 2018",
    page="https://kuanghuei.github.io/Food-101N/",
    checked=HANDLERS,
    access="follow the link to Google Drive at https://kuanghuei.github.io/Food-101N/",
)
