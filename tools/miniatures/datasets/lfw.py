"""LFW in little: 423 people with five or more images, and two people with fewer. All names but one are made up."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_tar
from tools.miniatures.pen import Pen

_PEOPLE = 423


def write(folder: Path, pen: Pen) -> None:
    """lfw.tgz with lfw/PERSON/PERSON_NUMBER.jpg, numbers with four digits."""
    content: dict[str, bytes] = {}
    for place in range(_PEOPLE):
        person = f"Person_{place:03}" if place else "George_W_Bush"
        count = 11 if place == 0 else 5
        splits = ["train"] * (count - 3) + ["val", "test", "test"]
        for number, split in enumerate(splits, 1):
            content[f"lfw/{person}/{person}_{number:04}.jpg"] = pen.encoded(split, person, size=(16, 16))
    for person, count in (("Few_Images", 4), ("One_Image", 1)):
        for number in range(1, count + 1):
            content[f"lfw/{person}/{person}_{number:04}.jpg"] = pen.encoded("", person, size=(16, 16))
    write_tar(folder / "lfw.tgz", content)
