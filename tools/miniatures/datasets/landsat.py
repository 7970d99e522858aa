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

_LIGHT, _DARK = (255, 221, 101, 0), (1, 36, 156, 0)
"""The four bands of a light and a dark pixel, which the first three alone tell apart."""


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
            light = np.asarray(pen.draw(split, soil, size=(3, 3), mode="L")) > 128
            values = np.where(light[..., None], _LIGHT, _DARK).reshape(-1).tolist()
            lines.append(" ".join(map(str, [*values, number])))
    return ("\n".join(lines) + "\n").encode()
