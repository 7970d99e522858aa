"""Brodatz: all 111 photographs in their size, since they are cut by pixels; each consists of nine pictures."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tools.miniatures.packing import write_files
from tools.miniatures.pen import Pen, encode


def write(folder: Path, pen: Pen) -> None:
    """DNUMBER.gif, 1 to 112 without 14."""
    for number in range(1, 113):
        if number == 14:
            continue
        photograph = Image.new("L", (640, 640))
        for left in range(0, 639, 213):
            for top in range(0, 639, 213):
                photograph.paste(pen.draw("all", f"D{number}", (213, 213), "L"), (left, top))
        write_files(folder, {f"D{number}.gif": encode(photograph, "GIF")})
