"""notMNIST in little: three images of each letter, and the two files that are no images."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_tar, write_zip
from tools.miniatures.pen import Pen

BROKEN = (
    "A/RGVtb2NyYXRpY2FCb2xkT2xkc3R5bGUgQm9sZC50dGY=.png",
    "F/Q3Jvc3NvdmVyIEJvbGRPYmxpcXVlLnR0Zg==.png",
)


def write(folder: Path, pen: Pen) -> None:
    """notMNIST_small.tar.gz with notMNIST_small/LETTER/FONT.png; a font's name is in base 64."""
    write_tar(folder / "notMNIST_small.tar.gz", _letters(pen))


def write_kaggle(folder: Path, pen: Pen) -> None:
    """notmnist.zip of Kaggle: everything in two folders of one name, and the large part."""
    content = {f"notMNIST_small/{name}": data for name, data in _letters(pen).items()}
    content["notMNIST_large/notMNIST_large/A/QQ==.png"] = pen.encoded("", "A", "PNG", (28, 28), "L")
    write_zip(folder / "notmnist.zip", content)


def _letters(pen: Pen) -> dict[str, bytes]:
    content = {
        f"notMNIST_small/{letter}/{font}.png": pen.encoded("all", letter, "PNG", (28, 28), "L")
        for letter in "ABCDEFGHIJ"
        for font in ("MDRiXzA4LnR0Zg==", "QW5kYWxlIE1vbm8udHRm", "Qm9va21hbi5wZmI=")
    }
    return content | {f"notMNIST_small/{name}": b"" for name in BROKEN}
