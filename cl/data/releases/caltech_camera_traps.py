"""Caltech Camera Traps-20: photos of twenty camera traps; 14 animals, cars and empty scenes.

The authors publish validation and test images of the training cameras (cis) and of others (trans). Those of other
cameras are read, as in NEVIS'22; no training image is empty. An image with boxes around different animals has the class
of its last box, as in NEVIS'22.
"""

from __future__ import annotations

import json

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.errors import DataError

_SITE = "https://storage.googleapis.com/public-datasets-lila/caltechcameratraps/"
_PARTS = {"train": "train", "val": "trans_val", "test": "trans_test"}


def _read(files: Files) -> Listing:
    """Annotations in the format of COCO; an image's file has the name of its id."""
    rows: dict[str, list[tuple[str, str]]] = {}
    every: set[str] = set()
    for split, part in _PARTS.items():
        name = f"eccv_18_annotation_files/{part}_annotations.json"
        try:
            content = json.loads(files.text(name))
            names = {each["id"]: str(each["name"]) for each in content["categories"]}
            classes = {str(each["image_id"]): names[each["category_id"]] for each in content["annotations"]}
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{name} of {files.where} has other content than expected ({error}); get it again."
            ) from error
        every |= set(names.values())
        rows[split] = [(f"eccv_18_all_images_sm/{image}.jpg", found) for image, found in classes.items()]
    return by_class(files, rows, sorted(every))


RELEASE = Release(
    name="caltech_camera_traps",
    title="Caltech Camera Traps-20",
    files=(
        OfficialFile(
            "eccv_18_all_images_sm.tar.gz",
            (f"{_SITE}eccv_18_all_images_sm.tar.gz",),
            6_492_615_601,
            "8143c17aa2a12872b66f284ff211531f",
            holds=("eccv_18_all_images_sm",),
        ),
        OfficialFile(
            "eccv_18_annotations.tar.gz",
            (f"{_SITE}eccv_18_annotations.tar.gz",),
            2_997_071,
            "66a1f481b44aa1edadf75c9cfbd27aba",
            holds=("eccv_18_annotation_files",),
        ),
    ),
    read=_read,
    classes=16,
    images=38_553,
    licence="CDLA Permissive 1.0",
    citation="Beery, Van Horn, Perona, Recognition in Terra Incognita, ECCV 2018",
    page="https://lila.science/datasets/caltech-camera-traps",
    checked=HANDLERS,
)
