"""KTH-TIPS2-a in little: two images of each sample of each material."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_tar
from tools.miniatures.pen import Pen

MATERIALS = """aluminium_foil brown_bread corduroy cork cotton cracker lettuce_leaf linen white_bread wood
wool""".split()  # noqa: SIM905


def write(folder: Path, pen: Pen) -> None:
    """kth-tips2-a_col_200x200.tar with KTH-TIPS2-a/MATERIAL/sample_S/NAME.png; folders are members of their own."""
    write_tar(folder / "kth-tips2-a_col_200x200.tar", samples(pen, "KTH-TIPS2-a"))


def samples(pen: Pen, root: str) -> dict[str, bytes]:
    """Two images of each of the four samples of every material, and members for folders."""
    content: dict[str, bytes] = {f"{root}/": b"", f"{root}/README.txt": b"KTH-TIPS2\n"}
    for place, label in enumerate(MATERIALS):
        content[f"{root}/{label}/"] = b""
        for sample in "abcd":
            inner = f"{root}/{label}/sample_{sample}"
            content[f"{inner}/"] = b""
            for scale in (2, 10):
                name = f"{inner}/{20 + place}{sample}-scale_{scale}_im_{scale}_col.png"
                content[name] = pen.encoded("all", label, "PNG")
    return content
