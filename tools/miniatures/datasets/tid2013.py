"""TID2013 in little: every seventh of the distorted images, unpacked, since no library packs RAR."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_files
from tools.miniatures.pen import Pen
from tools.miniatures.tid import database


def write(folder: Path, pen: Pen) -> None:
    """What tid2013.rar unpacks to."""
    write_files(folder, database(pen, distortions=24, levels=5, mssim="MSSIM.txt"))
