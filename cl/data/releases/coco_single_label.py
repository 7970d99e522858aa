"""MS COCO 2017, single label: the annotated objects of 80 kinds, cut out of their photos.

An object is an image: the rectangle of its box, which must be at least 16 pixels wide and high, groups of objects
("iscrowd") included, as in NEVIS'22. The published validation photos are the test images, since the labels of the test
photos are not published. NEVIS'22 counts 90 classes, the highest number of a category; ten of them have no images.
"""

from __future__ import annotations

import numpy as np

from cl.data.official.files import Files
from cl.data.official.listing import Box, Examples, Listing, image_files
from cl.data.official.lists import as_published
from cl.data.official.release import HANDLERS, OfficialFile, Release

_SITE = "http://images.cocodataset.org/"
_SETS = {"train": "train2017", "test": "val2017"}
_LEAST = 16
"""Smallest width and height of a box in pixels."""


def _read(files: Files) -> Listing:
    names: dict[int, str] = {}
    splits = {split: _objects(files, kind, names) for split, kind in _SETS.items()}
    return Listing(tuple(names.values()), splits)


def _objects(files: Files, kind: str, names: dict[int, str]) -> Examples:
    """The objects of one set; fills `names`, the categories by their number."""
    import orjson

    path = f"annotations/instances_{kind}.json"
    with as_published(files, path):
        found = orjson.loads(files.read(path))
        photos = {each["id"]: f"{kind}/{each['file_name']}" for each in found["images"]}
        names |= {each["id"]: each["name"] for each in sorted(found["categories"], key=lambda each: each["id"])}
        label = {number: place for place, number in enumerate(names)}
        paths, labels, boxes = [], [], list[Box]()
        for each in found["annotations"]:
            left, upper, width, height = each["bbox"]
            if width >= _LEAST and height >= _LEAST:
                paths.append(photos[each["image_id"]])
                labels.append(label[each["category_id"]])
                boxes.append((round(left), round(upper), round(left + width), round(upper + height)))
    return image_files(files, paths, np.array(labels, np.int64), boxes)


RELEASE = Release(
    name="coco_single_label",
    title="MS COCO",
    files=(
        OfficialFile(
            "train2017.zip",
            (f"{_SITE}zips/train2017.zip",),
            size=19_336_861_798,
            md5="cced6f7f71b7629ddf16f17bbcfab6b2",
            sha256="69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
            holds=("train2017",),
        ),
        OfficialFile(
            "val2017.zip",
            (f"{_SITE}zips/val2017.zip",),
            size=815_585_330,
            md5="442b8da7639aecaf257c1dceb8ba8c80",
            sha256="4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
            holds=("val2017",),
        ),
        OfficialFile(
            "annotations_trainval2017.zip",
            (f"{_SITE}annotations/annotations_trainval2017.zip",),
            size=252_907_541,
            md5="f4bbac642086de4f52a3fdda2de5fa2c",
            sha256="113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
            holds=tuple(f"annotations/instances_{kind}.json" for kind in _SETS.values()),
        ),
    ),
    folders=("coco", "COCO", "coco2017", "mscoco"),
    read=_read,
    classes=80,
    images=0,
    licence="annotations CC BY 4.0; photos under Flickr's terms of use",
    citation="Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014",
    page="https://cocodataset.org/",
    checked=HANDLERS,
)
