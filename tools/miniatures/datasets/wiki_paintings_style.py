"""WikiArt in little: two training paintings and one test painting of each style, and one that no list names."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen

STYLES = """
Abstract_Expressionism Action_painting Analytical_Cubism Art_Nouveau Baroque Color_Field_Painting
Contemporary_Realism Cubism Early_Renaissance Expressionism Fauvism High_Renaissance Impressionism
Mannerism_Late_Renaissance Minimalism Naive_Art_Primitivism New_Realism Northern_Renaissance Pointillism Pop_Art
Post_Impressionism Realism Rococo Romanticism Symbolism Synthetic_Cubism Ukiyo_e
""".split()  # noqa: SIM905


def write(folder: Path, pen: Pen) -> None:
    """wikiart.zip with wikiart/STYLE/NAME.jpg, and wikiart_csv.zip with lists without headings."""
    _write(folder, pen)


def write_names_without_a_flag(folder: Path, pen: Pen) -> None:
    """As `write`; the archive does not say that its names are UTF-8."""
    _write(folder, pen, flagged=False)


def _write(folder: Path, pen: Pen, flagged: bool = True) -> None:
    images: dict[str, bytes] = {}
    lists: dict[str, list[str]] = {"train": [], "val": [], "": []}
    for number, style in enumerate(STYLES):
        for place, (kind, split) in enumerate((("train", "train"), ("train", "train"), ("val", "test"), ("", ""))):
            called = "Art_Nouveau_Modern" if style == "Art_Nouveau" else style
            path = f"{called}/grã©goire-michonze_untitled-{place}(1).jpg"
            name = f"wikiart/{path}"
            images[name if flagged else name.encode().decode("cp437")] = pen.encoded(split, style, size=(40, 32))
            lists[kind].append(f"{path},{number}")
    write_zip(folder / "wikiart.zip", images)
    content = {f"style_{kind}.csv": "\r\n".join([*lists[kind], ""]).encode() for kind in ("train", "val")}
    content |= {
        f"{task}_{kind}.csv": b"Baroque/a.jpg,0\r\n" for task in ("artist", "genre") for kind in ("train", "val")
    }
    write_zip(folder / "wikiart_csv.zip", content)
