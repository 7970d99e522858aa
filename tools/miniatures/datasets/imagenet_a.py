"""ImageNet-A in little: three photos of each class."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_tar, write_zip
from tools.miniatures.pen import Pen
from tools.miniatures.wordnet import classes, dealt, readme

ROOT = "imagenet-a"
NAMES = (
    "0.000116_jay _ jay_0.865.jpg",
    "0.004872_fox squirrel _ bucket_0.405.jpg",
    "0.9_digital clock _ mitten_0.8.jpg",
)


def write(folder: Path, pen: Pen) -> None:
    """imagenet-a.tar with imagenet-a/NUMBER/NAME.jpg and README.txt, which names the classes."""
    write_tar(folder / "imagenet-a.tar", _content(pen))


def write_port(folder: Path, pen: Pen) -> None:
    """The zip of ports such as PILOT: the images dealt to train/ and test/."""
    content = dealt(_content(pen), ROOT)
    write_zip(folder / "imagenet-a.zip", content)


def _content(pen: Pen) -> dict[str, bytes]:
    content = {f"{ROOT}/README.txt": readme("ImageNet-A")}
    for number, name in classes().items():
        for each in NAMES:
            content[f"{ROOT}/{number}/{each}"] = pen.encoded("all", name, size=(40, 32))
    return content
