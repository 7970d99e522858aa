"""CVC-MUSCIMA in little: three pages of each of 50 writers, grey and as black and white, with two partitions."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen

_PAGES = {"p001": "train", "p010": "test", "p020": "train"}


def write(folder: Path, pen: Pen) -> None:
    """The images as CVCMUSCIMA_WI/KIND/WRITER/PAGE.png, and lists of WRITER/PAGE.png for two sets."""
    images: dict[str, bytes] = {}
    named: dict[str, list[str]] = {"train": [], "test": []}
    for number in range(1, 51):
        writer = f"w-{number:02}"
        for page, split in _PAGES.items():
            name = f"{writer}/{page}.png"
            images[f"CVCMUSCIMA_WI/PNG_GT_BW/{name}"] = pen.encoded("", writer, "PNG", (40, 32), "1")
            images[f"CVCMUSCIMA_WI/PNG_GT_Gray/{name}"] = pen.encoded(split, writer, "PNG", (40, 32), "L")
            named[split].append(name)
    texts = {split: ("\r\n".join(names) + "\r\n").encode() for split, names in named.items()}
    lists = {
        "Partitions_Set/set_2_Independent/set_2_training_01.txt": texts["train"],
        "Partitions_Set/set_2_Independent/set_2_testing_01.txt": texts["test"],
        "Partitions_Set/set_2_Independent/set_2_training_02.txt": texts["test"],
        "Partitions_Set/set_2_Independent/set_2_testing_02.txt": texts["train"],
        "Partitions_Set/set_1_Dependent/set_1_training_01.txt": texts["test"],
    }
    write_zip(folder / "CVCMUSCIMA_WI.zip", images)
    write_zip(folder / "Partitions_Set.zip", lists)
