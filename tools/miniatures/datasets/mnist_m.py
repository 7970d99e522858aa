"""MNIST-M in little: two training images and one test image of each digit, with the same file names in both folders."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_tar
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """mnist_m.tar.gz with mnist_m_train/, mnist_m_test/ and their lists of labels; digits in an order of their own."""
    content: dict[str, bytes] = {}
    for split, count, step in (("train", 20, 3), ("test", 10, 7)):
        lines = []
        for number in range(count):
            digit = number * step % 10
            name = f"{number:08}.png"
            content[f"mnist_m/mnist_m_{split}/{name}"] = pen.encoded("all", str(digit), "PNG")
            lines.append(f"{name} {digit}\n")
        content[f"mnist_m/mnist_m_{split}_labels.txt"] = "".join(lines).encode()
    content["mnist_m/mnist_m_train/99999999.png"] = pen.encoded("", "", "PNG")
    write_tar(folder / "mnist_m.tar.gz", content)
