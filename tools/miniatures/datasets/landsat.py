"""Landsat in little: two training and one test patch of each class that has any."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.miniatures.packing import write_files, write_zip
from tools.miniatures.pen import Pen

SOILS = (
    "red soil", "cotton crop", "grey soil", "damp grey soil", "soil with vegetation stubble", "mixture class",
    "very damp grey soil",
)  # fmt: skip


def write(folder: Path, pen: Pen) -> None:
    """sat.trn and sat.tst: 36 values and the number of the class a line."""
    write_files(folder, _tables(pen))


def write_uci(folder: Path, pen: Pen) -> None:
    """The archive of the repository's present site."""
    write_zip(folder / "statlog+landsat+satellite.zip", {"sat.doc": b"Landsat\n", **_tables(pen)})


def _tables(pen: Pen) -> dict[str, bytes]:
    return {"sat.trn": _table(pen, "train", 2), "sat.tst": _table(pen, "test", 1)}


def _table(pen: Pen, split: str, each: int) -> bytes:
    lines = []
    for number, soil in enumerate(SOILS, 1):
        for _ in range(each if soil != "mixture class" else 0):
            colours = np.asarray(pen.draw(split, soil, size=(3, 3)))
            fourth = np.full((3, 3, 1), 100, np.uint8)  # which no reader should take
            values = np.concatenate([colours, fourth], axis=2).reshape(-1).tolist()
            lines.append(" ".join(map(str, [*values, number])))
    return ("\n".join(lines) + "\n").encode()
