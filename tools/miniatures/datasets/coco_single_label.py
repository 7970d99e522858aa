"""MS COCO in little: two training objects and one test object of each category, two to a photo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen, encode

NAMES = [
    each.strip()
    for each in """
person; bicycle; car; motorcycle; airplane; bus; train; truck; boat; traffic light; fire hydrant; stop sign;
parking meter; bench; bird; cat; dog; horse; sheep; cow; elephant; bear; zebra; giraffe; backpack; umbrella;
handbag; tie; suitcase; frisbee; skis; snowboard; sports ball; kite; baseball bat; baseball glove; skateboard;
surfboard; tennis racket; bottle; wine glass; cup; fork; knife; spoon; bowl; banana; apple; sandwich; orange;
broccoli; carrot; hot dog; pizza; donut; cake; chair; couch; potted plant; bed; dining table; toilet; tv; laptop;
mouse; remote; keyboard; cell phone; microwave; oven; toaster; sink; refrigerator; book; clock; vase; scissors;
teddy bear; hair drier; toothbrush
""".replace("\n", " ").split(";")
]
_LEFT_OUT = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
CATEGORIES = dict(zip((number for number in range(1, 91) if number not in _LEFT_OUT), NAMES, strict=True))
_PLACES = ((3.4, 5.6, 24.0, 20.0), (30.5, 8.49, 30.2, 40.3), (2.0, 30.0, 15.9, 20.0))
"""The boxes of a photo: left and upper edge, width and height; the last is too small, the second reaches the edge."""


def write(folder: Path, pen: Pen) -> None:
    """The archives of photos of train2017 and val2017, and the annotations of both with other files."""
    annotations = {"annotations/captions_val2017.json": b"{}", "annotations/person_keypoints_val2017.json": b"{}"}
    for kind, split, each in (("train2017", "train", 2), ("val2017", "test", 1)):
        photos, found = _photos(pen, split, [number for number in CATEGORIES for _ in range(each)])
        write_zip(folder / f"{kind}.zip", {f"{kind}/{name}": data for name, data in photos.items()})
        annotations[f"annotations/instances_{kind}.json"] = json.dumps(found).encode()
    write_zip(folder / "annotations_trainval2017.zip", annotations)


def _photos(pen: Pen, split: str, labels: list[int]) -> tuple[dict[str, bytes], dict[str, Any]]:
    photos: dict[str, bytes] = {}
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    for start in range(0, len(labels), 2):
        photo = Image.new("RGB", (60, 52), (90, 120, 60))
        number = 100 + start
        for place, label in enumerate((*labels[start : start + 2], 1)):
            left, upper, width, height = _PLACES[place]
            edges = [round(left), round(upper), min(60, round(left + width)), min(52, round(upper + height))]
            size = (edges[2] - edges[0], edges[3] - edges[1])
            photo.paste(pen.draw(split if place < 2 else "", CATEGORIES[label], size), (edges[0], edges[1]))
            objects.append(
                {
                    "segmentation": [[left, upper, left + width, upper, left, upper + height]],
                    "area": width * height,
                    "iscrowd": int(place == 1 and start == 0),
                    "image_id": number,
                    "bbox": [left, upper, width, height],
                    "category_id": label,
                    "id": 900 + len(objects),
                }
            )
        name = f"{number:012}.jpg"
        photos[name] = encode(photo)
        images.append({"license": 4, "file_name": name, "height": 52, "width": 60, "id": number})
    images.append({"license": 4, "file_name": "000000000999.jpg", "height": 52, "width": 60, "id": 999})
    photos["000000000999.jpg"] = pen.encoded("", "person")
    categories = [{"supercategory": "thing", "id": number, "name": name} for number, name in CATEGORIES.items()]
    found = {"info": {}, "licenses": [], "images": images, "annotations": objects[::-1], "categories": categories}
    return photos, found
