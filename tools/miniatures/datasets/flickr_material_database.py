"""FMD in little: three images of each material in the size of the originals, masks, and files of other programs."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen

MATERIALS = ("fabric", "foliage", "glass", "leather", "metal", "paper", "plastic", "stone", "water", "wood")


def write(folder: Path, pen: Pen) -> None:
    """FMD.zip with image/MATERIAL/ and mask/MATERIAL/, MATLAB files and a thumbnail file of Windows."""
    content: dict[str, bytes] = {"demo.m": b"disp\n", "demo.asv": b"disp\n"}
    for label in MATERIALS:
        for kind, number in (("moderate", 19), ("object", 1), ("final", 79)):
            name = f"{label}_{kind}_{number:03}_new.jpg"
            content[f"image/{label}/{name}"] = pen.encoded("all", label, size=(512, 384))
            content[f"mask/{label}/{name}"] = pen.encoded("", label, size=(32, 24), mode="L")
        content[f"image/{label}/Thumbs.db"] = b"\0"
    write_zip(folder / "FMD.zip", content)
