"""PASCAL VOC 2012, classification: 20 classes, several per image.

The classes of the test images are not published, so that the validation images are tested. NEVIS'22 tests one half of
them and develops on the other.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing
from cl.data.official.pascal import classified
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release

_ROOT = "VOCdevkit/VOC2012"
_SITE = "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/"


def _read(files: Files) -> Listing:
    return classified(files, _ROOT, {"train": "train", "test": "val"})


RELEASE = Release(
    name="voc_2012",
    title="PASCAL VOC 2012",
    files=(
        OfficialFile(
            "VOCtrainval_11-May-2012.tar",
            (
                f"{_SITE}VOCtrainval_11-May-2012.tar",
                "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            ),
            md5="6cd6e144f989b92b3379bac3b3de84fd",
            holds=(f"{_ROOT}/JPEGImages", f"{_ROOT}/Annotations", f"{_ROOT}/ImageSets/Main"),
        ),
    ),
    read=_read,
    classes=20,
    images=11_540,
    licence="Flickr terms of use; research",
    citation="Everingham et al., The PASCAL Visual Object Classes Challenge 2012 Results, 2012",
    page=f"{_SITE}index.html",
    checked=TORCHVISIONS,
    multi_label=True,
)
