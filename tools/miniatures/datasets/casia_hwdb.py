"""CASIA-HWDB1.1 in little: three people, of whom two wrote one half of the characters each and one every tenth.

Four more wrote the first two characters.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen

CHINESE = [bytes([row, cell]) for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF) if (row, cell) < (0xD7, 0xFA)]
"""The codes of the first level of GB 2312."""
SYMBOLS = [bytes([each, 0]) for each in range(0x21, 0x7F)] + [bytes([0xA1, each]) for each in range(0xA2, 0xEE)]
"""As many as published; which they are besides ASCII is made up. The last one is not in GB 2312."""
CODES = [*CHINESE, *SYMBOLS, b"\xa9\x96"]


def write(folder: Path, pen: Pen) -> None:
    """Three archives with a file PERSON-c.gnt for each person, without a folder."""
    for part, split, written in (
        ("Gnt1.1TrainPart1", "train", {1001: CODES[::2], **dict.fromkeys(range(1002, 1006), CODES[:2])}),
        ("Gnt1.1TrainPart2", "train", {1121: CODES[1::2]}),
        ("Gnt1.1Test", "test", {1241: CODES[::10]}),
    ):
        content = {
            f"{person}-c.gnt": b"".join(_record(pen, split, code, place) for place, code in enumerate(codes))
            for person, codes in written.items()
        }
        write_zip(folder / f"{part}.zip", content)


def _record(pen: Pen, split: str, code: bytes, place: int) -> bytes:
    """Length, code, width, height, and the grey levels of the pixels by rows."""
    width, height = 16 + place % 5, 18 + place % 3
    pixels = np.asarray(pen.draw(split, code.rstrip(b"\0").decode("gb18030"), (width, height), "L"))
    return struct.pack("<I2sHH", 10 + width * height, code, width, height) + pixels.tobytes()
