"""KTH-TIPS2-b in little: as KTH-TIPS2-a, which differs in the number of photos."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.datasets.kth_tips_2a import samples
from tools.miniatures.packing import write_tar
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """kth-tips2-b_col_200x200.tar with KTH-TIPS2-b/MATERIAL/sample_S/NAME.png; folders are members of their own."""
    write_tar(folder / "kth-tips2-b_col_200x200.tar", samples(pen, "KTH-TIPS2-b"))
