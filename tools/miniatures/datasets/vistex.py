"""VisTex in little: two or six reference textures of each group, the same in a smaller size, and a scene."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import compress_bytes, tar_bytes, write_files, write_tar
from tools.miniatures.pen import Pen

GROUPS = """Bark Brick Buildings Clouds Fabric Flowers Food Grass Leaves Metal Misc Paintings Sand Stone Terrain Tile
Water WheresWaldo Wood""".split()  # noqa: SIM905


def write(folder: Path, pen: Pen) -> None:
    """VisTex.tar.gz with two of the archives, compressed again; the images of the second are linked by the first."""
    images, links = _content(pen)
    parts = {"A": {f"{name} -> {target}": b"" for name, target in links.items()}, "B": images}
    content = {"VisionTexture/buildVisTex": b"#!/bin/csh\n", "VisionTexture/README": b"Vision Texture 1.0\n"}
    for letter, members in parts.items():
        content[f"VisionTexture/vistex1.0a.{letter}.tar.Z"] = compress_bytes(tar_bytes(members))
    write_tar(folder / "VisTex.tar.gz", content)


def write_unpacked(folder: Path, pen: Pen) -> None:
    """VisionTexture/ with everything unpacked."""
    images, links = _content(pen)
    write_files(folder / "VisionTexture", images)
    for name, target in links.items():
        path = folder / "VisionTexture" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((path.parent / target).resolve().read_bytes())


def _content(pen: Pen) -> tuple[dict[str, bytes], dict[str, str]]:
    images: dict[str, bytes] = {}
    links: dict[str, str] = {}
    for place, group in enumerate(GROUPS):
        for count in range(6 if place < 2 else 2):
            name = f"{group}.{'1.' if group == 'Paintings' else ''}{count:04}"
            images[f"VisTex/FLAT/512x512/{name}.ppm"] = pen.encoded("all", group, "PPM", (24, 24))
            images[f"VisTex/FLAT/128x128/{name}.s.ppm"] = pen.encoded("", group, "PPM", (12, 12))
            links[f"VisTex/Images/Reference/{group}/{name}.ppm"] = f"../../../FLAT/512x512/{name}.ppm"
    images["VisTex/FLAT/768x512/GrassLand.0000.ppm"] = pen.encoded("", "Grass", "PPM", (36, 24))
    links["VisTex/Images/Scenes/GrassLand/context1.ppm"] = "../../../FLAT/768x512/GrassLand.0000.ppm"
    return images, links
