"""ANIMAL in little: three silhouettes of each animal."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen

ANIMALS = {
    "A": "bird butterfly cat cow crocodile deer dog dolphine duck elephant".split(),  # noqa: SIM905
    "B": "fish flyingbird hen horse leopard monkey rabbit rat spider tortoise".split(),  # noqa: SIM905
}


def write(folder: Path, pen: Pen) -> None:
    """Two archives with FOLDER/ANIMAL/ANIMALNUMBER.tif, and files that a system added."""
    for letter, animals in ANIMALS.items():
        top = f"non_rigid_shape_{letter}"
        content = {f"{top}/": b""}
        for name in animals:
            content[f"{top}/{name}/"] = b""
            for number in range(1, 4):
                content[f"{top}/{name}/{name}{number}.tif"] = pen.encoded("all", name, "TIFF", (40, 32), "L")
        content[f"{top}/{animals[0]}/Thumbs.db"] = b"a file of the system"
        write_zip(folder / f"{top}.zip", content)
