"""MPEG-7 shapes in little: two silhouettes of each kind, six of the first two, and what else the archive has."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen

KINDS = """Bone Comma Glas HCircle Heart Misk apple bat beetle bell bird bottle brick butterfly camel car carriage
cattle cellular_phone chicken children chopper classic crown cup deer device0 device1 device2 device3 device4 device5
device6 device7 device8 device9 dog elephant face fish flatfish fly fork fountain frog guitar hammer hat horse
horseshoe jar key lizzard lmfish octopus pencil personal_car pocket rat ray sea_snake shoe spoon spring stef teddy
tree truck turtle watch""".split()  # noqa: SIM905


def write(folder: Path, pen: Pen) -> None:
    """MPEG7dataset.zip with original/KIND-NUMBER.gif, a rat twice, and two overviews in three formats."""
    again = {"original/rat-09.gif": pen.encoded("", "rat", "GIF", mode="L")}
    write_zip(folder / "MPEG7dataset.zip", {**again, **_shapes(pen)})


def write_cleaned(folder: Path, pen: Pen) -> None:
    """The same without the second rat, as people pack it again."""
    write_zip(folder / "MPEG7dataset.zip", _shapes(pen))


def _shapes(pen: Pen) -> dict[str, bytes]:
    content = {
        f"original/{kind}-{number}.gif": pen.encoded("all", kind, "GIF", mode="L")
        for place, kind in enumerate(KINDS)
        for number in ((9, 20, 1, 2, 3, 10) if place < 2 else (9, 20))
    }
    for overview in ("confusions", "shapedata"):
        content |= {f"original/{overview}.{end}": b"overview\n" for end in ("eps", "fig")}
        content[f"original/{overview}.gif"] = pen.encoded("", overview, "GIF", mode="L")
    return content
