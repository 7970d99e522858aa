"""ALOI in little: one image of every object, a third of them in each part, three of the first, and stereo images."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_tar
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """The tars of the parts that are read, and the one of the stereo images."""
    for place, (part, view) in enumerate((("ill", "l1c1"), ("col", "i110"), ("view", "r0"))):
        content = {
            f"png4/{number}/{number}_{view}.png": pen.encoded("all", f"object {number}", "PNG", size=(20, 16))
            for number in range(1, 1001)
            if number == 1 or number % 3 == place
        }
        write_tar(folder / f"aloi_red4_{part}.tar", content)
    stereo = {f"png4/1/1_{side}.png": pen.encoded("", "object 1", "PNG", size=(20, 16)) for side in "clr"}
    write_tar(folder / "aloi_red4_stereo.tar", stereo)
