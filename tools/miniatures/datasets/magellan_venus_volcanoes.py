"""Magellan Venus volcanoes in little: twelve of the 134 images in their size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.miniatures.packing import write_tar
from tools.miniatures.pen import Pen

MARKS = (
    ("definite volcano", "2 321.0 712.0 12.0\n1 500.5 100.0 9.5\n"),
    ("no definite volcano", ""),
    ("no definite volcano", "3 11.0 12.0 4.0\n4 1.0 1.0 1.0\n"),
    ("definite volcano", "1 77.0 88.0 20.0\n"),
    *((("definite volcano", "1 10.0 20.0 5.0\n"), ("no definite volcano", "")) * 4),
)
"""Classes of images and the marks in them."""


def write(folder: Path, pen: Pen) -> None:
    """volcanoes.tar.gz with package/: images of raw bytes, their headers, marks of experts, and other folders."""
    content = {"package/README": b"JARtool\n", "package/Tables/exp_table": b"\n", "package/FOA/exp_A/img1.foa": b"\n"}
    rng = np.random.default_rng(0)
    for number, (kind, marks) in enumerate(MARKS, 1):
        pixels = np.asarray(pen.draw("all", kind, (1024, 1024), "L"))
        grain = rng.integers(
            0, 8, pixels.shape, np.uint8
        )  # of radar; equal bytes would be packed as small as bombs are
        content[f"package/Images/img{number}.sdt"] = (pixels + grain).tobytes()
        content[f"package/Images/img{number}.spr"] = b"2\n1024 0 0\n1024 0 0\n0\n"
        content[f"package/GroundTruths/img{number}.lxyr"] = marks.encode()
    write_tar(folder / "volcanoes.tar.gz", content)
