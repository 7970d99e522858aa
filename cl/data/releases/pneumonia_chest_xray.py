"""Chest X-rays of children with and without pneumonia: training, 16 validation and test images, as on Kaggle.

Kaggle's archive has the same images twice: in chest_xray/chest_xray/, which NEVIS'22 reads, and in chest_xray/. The
authors' own archive at Mendeley Data has no validation images (they are training images there) and is not read.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_TREE = r"chest_xray/{}/(NORMAL|PNEUMONIA)/[^/]+\.jpe?g"


def _read(files: Files) -> Listing:
    twice = any(name.startswith("chest_xray/chest_xray/") for name in files.names)
    top = "chest_xray/" if twice else ""
    return by_class(
        files,
        {
            split: [(name, found[1]) for name, found in files.match(_TREE.format(top + split))]
            for split in ("train", "val", "test")
        },
    )


RELEASE = Release(
    name="pneumonia_chest_xray",
    title="Pneumonia Chest X-ray",
    files=(OfficialFile("chest-xray-pneumonia.zip", md5="930763e3580e76de9c2c849ec933b5d6", holds=("chest_xray",)),),
    read=_read,
    classes=2,
    images=5_856,
    licence="CC BY 4.0",
    citation="Kermany et al., Identifying Medical Diagnoses and Treatable Diseases by Image-Based Deep Learning, Cell "
    "172, 2018",
    page="https://www.kaggle.com/paultimothymooney/chest-xray-pneumonia",
    checked=HANDLERS,
    access="download https://www.kaggle.com/paultimothymooney/chest-xray-pneumonia (a Kaggle account is needed)",
    kaggle="paultimothymooney/chest-xray-pneumonia",
)
