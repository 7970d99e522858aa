"""PASCAL VOC 2007, classification: 20 classes, several per image."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing
from cl.data.official.pascal import classified
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release

_SITE = "http://host.robots.ox.ac.uk/pascal/VOC/voc2007/"
_MIRROR = "http://pjreddie.com/media/files/"


def _read(files: Files) -> Listing:
    return classified(files, "VOCdevkit/VOC2007", {"train": "train", "val": "val", "test": "test"})


RELEASE = Release(
    name="voc_2007",
    title="PASCAL VOC 2007",
    files=(
        OfficialFile(
            "VOCtrainval_06-Nov-2007.tar",
            (f"{_SITE}VOCtrainval_06-Nov-2007.tar", f"{_MIRROR}VOCtrainval_06-Nov-2007.tar"),
            md5="c52e279531787c972589f7e41ab4ae64",
            holds=(
                "VOCdevkit/VOC2007/JPEGImages",
                "VOCdevkit/VOC2007/Annotations",
                "VOCdevkit/VOC2007/ImageSets/Main/train.txt",
                "VOCdevkit/VOC2007/ImageSets/Main/val.txt",
            ),
        ),
        OfficialFile(
            "VOCtest_06-Nov-2007.tar",
            (f"{_SITE}VOCtest_06-Nov-2007.tar", f"{_MIRROR}VOCtest_06-Nov-2007.tar"),
            md5="b6e924de25625d8de591ea690078ad9f",
            holds=("VOCdevkit/VOC2007/ImageSets/Main/test.txt",),
        ),
    ),
    read=_read,
    classes=20,
    images=9_963,
    licence="Flickr terms of use; research",
    citation="Everingham et al., The PASCAL Visual Object Classes Challenge 2007 Results, 2007",
    page=f"{_SITE}index.html",
    checked=TORCHVISIONS,
    multi_label=True,
)
