"""PASCAL VOC 2012, actions: people cut out of photos, with the actions that they do, one or more of 11.

The labels of the test set are not published. NEVIS'22 splits the people of the training and validation sets anew, so
they are returned without a split.
"""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from cl.data.official.files import Files
from cl.data.official.listing import Box, Listing, image_files
from cl.data.official.lists import as_published
from cl.data.official.pascal import annotation
from cl.data.official.release import HANDLERS, OfficialFile, Release

_ROOT = "VOCdevkit/VOC2012"
ACTIONS = tuple(
    """jumping phoning playinginstrument reading ridingbike ridinghorse running takingphoto usingcomputer walking
    other""".split()  # noqa: SIM905
)
"""The actions in the order of the challenge; the last has no list of its own."""


def _read(files: Files) -> Listing:
    """All objects with actions in the photos that the lists of the actions name."""
    paths, labels, boxes = [], [], list[Box]()
    for photo in _photos(files):
        name = f"{_ROOT}/Annotations/{photo}.xml"
        for each in annotation(files, name).iterfind("object"):
            found = each.find("actions")
            if found is not None:
                paths.append(f"{_ROOT}/JPEGImages/{photo}.jpg")
                labels.append([found.findtext(action, "0").strip() == "1" for action in ACTIONS])
                with as_published(files, name):
                    boxes.append(_box(each))
    return Listing(ACTIONS, {"all": image_files(files, paths, np.array(labels, np.bool_), boxes)})


def _box(person: ElementTree.Element) -> Box:
    left, upper, right, lower = (
        int(float(person.findtext(f"bndbox/{edge}", ""))) for edge in ("xmin", "ymin", "xmax", "ymax")
    )
    return left, upper, right, lower


def _photos(files: Files) -> list[str]:
    """A line of a list is a photo, the number of a person in it, and whether he does the action."""
    lists = [f"{_ROOT}/ImageSets/Action/{action}_trainval.txt" for action in ACTIONS[:-1]]
    return sorted({line.split()[0] for name in lists for line in files.lines(name)})


RELEASE = Release(
    name="voc_actions",
    title="VOC Actions",
    files=(
        OfficialFile(
            "VOCtrainval_11-May-2012.tar",
            (
                "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
                "http://pjreddie.com/media/files/VOCtrainval_11-May-2012.tar",
            ),
            size=1_999_639_040,
            md5="6cd6e144f989b92b3379bac3b3de84fd",
            sha256="e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
            holds=tuple(f"{_ROOT}/{folder}" for folder in ("JPEGImages", "Annotations", "ImageSets/Action")),
        ),
    ),
    folders=("voc_2012",),
    read=_read,
    classes=11,
    images=0,
    licence="Flickr terms of use; research",
    citation="Everingham et al., The PASCAL Visual Object Classes Challenge 2012 Results, 2012",
    page="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/index.html",
    checked=HANDLERS,
    multi_label=True,
)
