"""Office-Caltech-10 in little: one image of each class in each domain, and images of other classes."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_tar, write_zip
from tools.miniatures.pen import Pen

CLASSES = {
    "back_pack": "003.backpack",
    "bike": "224.touring-bike",
    "calculator": "027.calculator",
    "headphones": "101.head-phones",
    "keyboard": "045.computer-keyboard",
    "laptop_computer": "127.laptop-101",
    "monitor": "046.computer-monitor",
    "mouse": "047.computer-mouse",
    "mug": "041.coffee-mug",
    "projector": "238.video-projector",
}


def write(folder: Path, pen: Pen) -> None:
    """The archives of Office-31 and of Caltech-256, both with further classes."""
    office = {
        f"{domain}/images/{each}/frame_{number:04}.jpg": pen.encoded("train" if each in CLASSES else "", each)
        for number, domain in enumerate(("amazon", "dslr", "webcam"), 1)
        for each in (*CLASSES, "bike_helmet", "trash_can")
    }
    write_tar(folder / "domain_adaptation_images.tar.gz", office)
    names = {theirs: each for each, theirs in CLASSES.items()} | {"145.motorbikes-101": "", "257.clutter": ""}
    caltech: dict[str, bytes] = {}
    for theirs, each in names.items():
        for number in (1, 2):
            path = f"256_ObjectCategories/{theirs}/{theirs[:3]}_{number:04}.jpg"
            caltech[path] = pen.encoded("test" if each else "", each, mode="L" if number == 2 else "RGB")
    caltech["256_ObjectCategories/224.touring-bike/RENAME2"] = b"a script\n"
    write_tar(folder / "256_ObjectCategories.tar", caltech)


def write_selected(folder: Path, pen: Pen) -> None:
    """Office_Caltech_DA_Dataset-main.zip with DOMAIN/CLASS/NAME.jpg for the ten classes."""
    content = {}
    for domain in ("Caltech", "amazon", "dslr", "webcam"):
        for each in CLASSES:
            name = f"{'backpack' if each == 'back_pack' else each}/frame_0001.jpg"
            split = "test" if domain == "Caltech" else "train"
            content[f"Office_Caltech_DA_Dataset-main/{domain}/{name}"] = pen.encoded(split, each)
    write_zip(folder / "Office_Caltech_DA_Dataset-main.zip", content)
