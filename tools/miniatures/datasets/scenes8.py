"""8 Scene Dataset in little: three images of each kind of scene."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen

SCENES = ("coast", "forest", "highway", "insidecity", "mountain", "opencountry", "street", "tallbuilding")


def write(folder: Path, pen: Pen) -> None:
    """The zip with one folder of SCENE_NAME.jpg, and a file that Windows left."""
    root = "spatial_envelope_256x256_static_8outdoorcategories"
    content = {
        f"{root}/{scene}_{name}.jpg": pen.encoded("all", scene) for scene in SCENES for name in ("n1", "nat22", "a301")
    }
    write_zip(folder / f"{root}.zip", {**content, f"{root}/Thumbs.db": b"\0"})
