"""15 Scenes in little: two images of each kind of place, six of the first two."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen

SCENES = """bedroom CALsuburb industrial kitchen livingroom MITcoast MITforest MIThighway MITinsidecity MITmountain
MITopencountry MITstreet MITtallbuilding PARoffice store""".split()  # noqa: SIM905


def write(folder: Path, pen: Pen) -> None:
    """scene_categories.zip with SCENE/image_NUMBER.jpg."""
    write_zip(
        folder / "scene_categories.zip",
        {
            f"{scene}/image_{number:04}.jpg": pen.encoded("all", scene, size=(30, 24), mode="L")
            for place, scene in enumerate(SCENES)
            for number in range(1, 7 if place < 2 else 3)
        },
    )
