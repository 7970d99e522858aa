"""TRANCOS in little: for each class of counts two training, one validation and one test image, and a further one."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.counting import NAMES, count_of
from tools.miniatures.packing import write_tar
from tools.miniatures.pen import Pen

SETS = {"train": "training", "val": "validation", "test": "test"}


def write(folder: Path, pen: Pen) -> None:
    """TRANCOS_v3.tar.gz with images, the places of vehicles as text and as dots, masks, and the lists."""
    content: dict[str, bytes] = {}
    lists: dict[str, list[str]] = {split: [] for split in SETS}
    for number in range(41):
        label, turn = (number % 10, number // 10) if number < 40 else (9, 4)
        split = ("train", "val", "test", "train", "test")[turn]
        name = f"image-{1 + number % 3}-{number:06}"
        place = f"TRANCOS_v3/images/{name}"
        lines = [f"{3 * vehicle}\t{2 * vehicle + 1}" for vehicle in range(count_of(label, turn))]
        content[f"{place}.jpg"] = pen.encoded(split, NAMES[label], size=(40, 30))
        content[f"{place}.txt"] = "".join(f"{line}\n" for line in lines).encode()
        content[f"{place}dots.png"] = pen.encoded("", NAMES[label], "PNG", (40, 30))
        content[f"{place}mask.mat"] = b"MATLAB 5.0 MAT-file"
        lists[split].append(f"{name}.jpg")
    for split, kind in SETS.items():
        content[f"TRANCOS_v3/image_sets/{kind}.txt"] = "".join(f"{name}\n" for name in lists[split]).encode()
    both = sorted([*lists["train"], *lists["val"]])
    content["TRANCOS_v3/image_sets/trainval.txt"] = "".join(f"{name}\n" for name in both).encode()
    content["TRANCOS_v3/README"] = b"GRAM-TRANCOS\n"
    write_tar(folder / "TRANCOS_v3.tar.gz", content)
