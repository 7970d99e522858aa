"""KTH-TIPS in little: three images of each material."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_tar
from tools.miniatures.pen import Pen

MATERIALS = """aluminium_foil brown_bread corduroy cotton cracker linen orange_peel sandpaper sponge
styrofoam""".split()  # noqa: SIM905


def write(folder: Path, pen: Pen) -> None:
    """kth_tips_col_200x200.tar with KTH_TIPS/MATERIAL/NUMBER-scale_S_im_I_col.png; folders are members of their own."""
    content: dict[str, bytes] = {"KTH_TIPS/": b"", "KTH_TIPS/README.txt": b"KTH-TIPS\n"}
    for place, label in enumerate(MATERIALS):
        content[f"KTH_TIPS/{label}/"] = b""
        for scale in (2, 5, 10):
            name = f"KTH_TIPS/{label}/{10 + place}-scale_{scale}_im_1_col.png"
            content[name] = pen.encoded("all", label, "PNG")
    write_tar(folder / "kth_tips_col_200x200.tar", content)
