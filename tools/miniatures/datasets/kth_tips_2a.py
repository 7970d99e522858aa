"""KTH-TIPS2-a in little: two images of each sample of each material."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_tar
from tools.miniatures.pen import Pen
from tools.miniatures.texture_samples import tips2


def write(folder: Path, pen: Pen) -> None:
    """kth-tips2-a_col_200x200.tar with KTH-TIPS2-a/MATERIAL/sample_S/NAME.png; folders are members of their own."""
    write_tar(folder / "kth-tips2-a_col_200x200.tar", tips2(pen, "KTH-TIPS2-a"))
