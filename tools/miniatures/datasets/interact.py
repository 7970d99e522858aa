"""INTERACT in little: two photos and one illustration of each interaction, and one photo that is truncated."""

from __future__ import annotations

from pathlib import Path

from cl.data.releases.interact import TRUNCATED
from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen

INTERACTIONS = [f"interaction of kind {number}" for number in range(1, 61)]
"""Names of our own: the published ones are in the annotations."""


def write(folder: Path, pen: Pen) -> None:
    """Archives of images and of annotations, of photos and of illustrations; each has its images in imgs/."""
    _write(folder, pen, "interact_stand-alone_dataset", "interact_final_dataset", "22TCSTMOFXRDF", 2)
    drawings = "interact_illustration_category_dataset"
    _write(folder, pen, drawings, drawings, "A1B2C3", 1)


def _write(folder: Path, pen: Pen, name: str, listed: str, prefix: str, each: int) -> None:
    images: dict[str, bytes] = {}
    lines: list[str] = []
    for number, interaction in enumerate(INTERACTIONS, 1):
        for place in range(each):
            image = f"{prefix}{number:02}_{place:02}.jpg"
            images[f"imgs/{image}"] = pen.encoded("all", interaction, size=(40, 32))
            lines.append(f"{number};{image};{interaction}")
    if each == 2:
        images[f"imgs/{TRUNCATED[0]}"] = pen.encoded("", INTERACTIONS[0])[:300]
        lines.append(f"1;{TRUNCATED[0]};{INTERACTIONS[0]}")
    write_zip(folder / f"{name}_images.zip", images)
    labels = {f"{listed}_labels_and_images.txt": ("\n".join(lines) + "\n").encode(), "README.txt": b""}
    write_zip(folder / f"{name}_annotations.zip", labels)
