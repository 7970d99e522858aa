"""PPMI in little: two training images and one test image of each of the 24 classes."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen

INSTRUMENTS = """bassoon cello clarinet erhu flute frenchhorn guitar harp recorder saxophone trumpet
violin""".split()  # noqa: SIM905


def write(folder: Path, pen: Pen) -> None:
    """norm_ppmi_12class.zip with norm_image/ACTION_instrument/INSTRUMENT/SET/NAME.jpg and a note."""
    content: dict[str, bytes] = {"README": b"PPMI\n"}
    for action in ("play", "with"):
        for place, instrument in enumerate(INSTRUMENTS):
            for count, split in enumerate(("train", "test", "train")):
                name = f"{action}_{instrument}_{place * 10 + count:04}.jpg"
                data = pen.encoded(split, f"{action} {instrument}")
                content[f"norm_image/{action}_instrument/{instrument}/{split}/{name}"] = data
    write_zip(folder / "norm_ppmi_12class.zip", content)
