"""ImageNet-R in little: three renditions of each class."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_tar, write_zip
from tools.miniatures.pen import Pen
from tools.miniatures.wordnet import classes, dealt, readme

ROOT = "imagenet-r"
NAMES = ("art_0.jpg", "cartoon_1.jpg", "sketch_22.jpg")


def write(folder: Path, pen: Pen) -> None:
    """imagenet-r.tar with imagenet-r/NUMBER/NAME.jpg and README.txt, which names the classes."""
    write_tar(folder / "imagenet-r.tar", _content(pen))


def write_port(folder: Path, pen: Pen) -> None:
    """The zip of ports such as PILOT: the images dealt to train/ and test/, and the folder that macOS adds."""
    content = dealt(_content(pen), ROOT)
    write_zip(folder / "imagenet-r.zip", content | {f"__MACOSX/{ROOT}/._train": b"macOS"})


def _content(pen: Pen) -> dict[str, bytes]:
    content = {f"{ROOT}/README.txt": readme("ImageNet-R")}
    for number, name in classes().items():
        for each in NAMES:
            content[f"{ROOT}/{number}/{each}"] = pen.encoded("all", name, size=(40, 32))
    return content
