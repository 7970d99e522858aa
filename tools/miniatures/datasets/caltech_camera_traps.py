"""Caltech Camera Traps-20 in little: two training, one validation and one test image of each class, and cis images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tools.miniatures.packing import write_tar
from tools.miniatures.pen import Pen

CATEGORIES = {
    6: "bobcat", 1: "opossum", 30: "empty", 9: "coyote", 3: "raccoon", 11: "bird", 8: "dog", 16: "cat", 5: "squirrel",
    10: "rabbit", 7: "skunk", 99: "rodent", 21: "badger", 34: "deer", 33: "car", 51: "fox",
}  # fmt: skip
"""The classes, with numbers that leave gaps."""
PARTS = {
    "train": ("train", 2),
    "cis_val": ("", 1),
    "cis_test": ("", 1),
    "trans_val": ("val", 1),
    "trans_test": ("test", 1),
}


def write(folder: Path, pen: Pen) -> None:
    """The archives of images and of the five lists; an image of two animals counts as the second one."""
    images: dict[str, bytes] = {}
    lists: dict[str, bytes] = {}
    for part, (split, each) in PARTS.items():
        rows: list[dict[str, Any]] = []
        boxes: list[dict[str, Any]] = []
        for place, (number, name) in enumerate(CATEGORIES.items()):
            if part == "train" and name == "empty":
                continue  # as published
            for copy in range(each):
                image = f"{len(images):08x}-23d2-11e8-a6a3-ec086b02610b"
                images[f"eccv_18_all_images_sm/{image}.jpg"] = pen.encoded(split, name, size=(48, 35))
                rows.append(_image(image, len(images)))
                if place % 5 == 4 and copy == 0:
                    boxes.append(_box(len(boxes), image, 1))
                boxes.append(_box(len(boxes), image, number))
        categories = [{"id": number, "name": name} for number, name in CATEGORIES.items()]
        content = {"images": rows, "annotations": boxes, "info": {"version": "CCT20"}, "categories": categories}
        lists[f"eccv_18_annotation_files/{part}_annotations.json"] = json.dumps(content).encode()
    write_tar(folder / "eccv_18_all_images_sm.tar.gz", images)
    write_tar(folder / "eccv_18_annotations.tar.gz", lists)


def _image(image: str, count: int) -> dict[str, Any]:
    return {
        "id": image, "file_name": f"{image}.jpg", "width": 2048, "height": 1494, "location": count % 20,
        "date_captured": "2011-05-13 23:43:18", "rights_holder": "Justin Brown", "seq_id": f"seq-{count}",
        "seq_num_frames": 1, "frame_num": 1,
    }  # fmt: skip


def _box(count: int, image: str, category: int) -> dict[str, Any]:
    found = {"id": f"{count:08x}-7d2d-11e8-884d-7845c41c2c67", "image_id": image, "category_id": category}
    return found if category == 30 else {**found, "bbox": [1246.9, 502.2, 276.2, 166.9]}
