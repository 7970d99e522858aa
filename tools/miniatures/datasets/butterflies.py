"""Butterflies in little: two training images and two test images of each kind, with the numbers that they have."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen

KINDS = {
    "admiral": ("adm", 14, 103),
    "black_swallowtail": ("swa", 2, 41),
    "machaon": ("mch", 12, 83),
    "monarch_closed": ("mnc", 9, 72),
    "monarch_open": ("mno", 8, 83),
    "peacock": ("pea", 1, 131),
    "zebra": ("zeb", 6, 90),
}
"""Letters of each kind's files, and numbers of two test images."""


def write(folder: Path, pen: Pen) -> None:
    """butterflies.zip with KIND/LETTERSNUMBER.jpg."""
    content = {}
    for kind, (letters, *test) in KINDS.items():
        for number in (3, 5, *test):
            split = "test" if number in test else "train"
            content[f"{kind}/{letters}{number:03}.jpg"] = pen.encoded(split, kind, size=(40, 32))
    write_zip(folder / "butterflies.zip", content)
