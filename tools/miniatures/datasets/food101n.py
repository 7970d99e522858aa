"""Food-101N in little: three verified images of each dish, one of them wrong, and one that nobody verified."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tools.miniatures.datasets.food101 import DISHES
from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen

HEADER = "class_name/key\tverification_label"
MOVED = "a49e6fb26e356c6c41a37b5c18176355.jpg"


def write(folder: Path, pen: Pen) -> None:
    """Food-101N_release.zip with images/DISH/NAME.jpg and lists with a header; a listed image is elsewhere."""
    content: dict[str, bytes] = {}
    verified: dict[str, list[str]] = {"train": [HEADER], "test": [HEADER]}
    every = ["class_name/key"]
    for dish in DISHES:
        for number, split in enumerate(("train", "train", "test", "")):
            name = f"{dish}/{hashlib.md5(f'{dish} {number}'.encode()).hexdigest()}.jpg"
            content[f"images/{name}"] = pen.encoded(split, dish, size=(40, 32))
            every.append(name)
            if split:
                verified[split].append(f"{name}\t{int(number != 1)}")
    content[f"images/filet_mignon/{MOVED}"] = pen.encoded("", "filet_mignon", size=(40, 32))
    verified["train"].append(f"hot_and_sour_soup/{MOVED}\t1")
    content["meta/imagelist.tsv"] = _text([*every, f"filet_mignon/{MOVED}"])
    content["meta/verified_train.tsv"] = _text(verified["train"])
    content["meta/verified_val.tsv"] = _text(verified["test"])
    content["meta/classes.txt"] = _text(["class_name", *DISHES])
    write_zip(folder / "Food-101N_release.zip", {f"Food-101N_release/{name}": data for name, data in content.items()})


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
