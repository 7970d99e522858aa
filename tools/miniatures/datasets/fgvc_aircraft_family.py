"""FGVC-Aircraft in little: one image of each family in each split, two training images of the first two."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_tar
from tools.miniatures.pen import Pen

FAMILIES = [
    each.strip()
    for each in """
A300; A310; A320; A330; A340; A380; ATR-42; ATR-72; An-12; BAE 146; BAE-125; Beechcraft 1900; Boeing 707;
Boeing 717; Boeing 727; Boeing 737; Boeing 747; Boeing 757; Boeing 767; Boeing 777; C-130; C-47; CRJ-200; CRJ-700;
Cessna 172; Cessna 208; Cessna Citation; Challenger 600; DC-10; DC-3; DC-6; DC-8; DC-9; DH-82; DHC-1; DHC-6; DR-400;
Dash 8; Dornier 328; EMB-120; Embraer E-Jet; Embraer ERJ 145; Embraer Legacy 600; Eurofighter Typhoon; F-16; F/A-18;
Falcon 2000; Falcon 900; Fokker 100; Fokker 50; Fokker 70; Global Express; Gulfstream; Hawk T1; Il-76; King Air;
L-1011; MD-11; MD-80; MD-90; Metroliner; PA-28; SR-20; Saab 2000; Saab 340; Spitfire; Tornado; Tu-134; Tu-154;
Yak-42
""".replace("\n", " ").split(";")
]


def write(folder: Path, pen: Pen) -> None:
    """fgvc-aircraft-2013b.tar.gz with images by number, and lists of numbers and families by split."""
    root = "fgvc-aircraft-2013b/data"
    content = {f"{root}/families.txt": ("\n".join(FAMILIES) + "\n").encode(), "fgvc-aircraft-2013b/README.md": b""}
    lines: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    number = 34_309
    for split, found in lines.items():
        for family in [*FAMILIES, *FAMILIES[:2]] if split == "train" else FAMILIES:
            number += 1
            content[f"{root}/images/{number:07}.jpg"] = pen.encoded(split, family, size=(48, 36))
            found.append(f"{number:07} {family}")
    lines["trainval"] = [*lines["train"], *lines["val"]]
    for split, found in lines.items():
        content[f"{root}/images_family_{split}.txt"] = ("\n".join(found) + "\n").encode()
        content[f"{root}/images_{split}.txt"] = "".join(f"{line.split()[0]}\n" for line in found).encode()
    everything = sorted(line.split()[0] for line in (*lines["trainval"], *lines["test"]))
    content[f"{root}/images_box.txt"] = "".join(f"{each} 3 3 44 30\n" for each in everything).encode()
    write_tar(folder / "fgvc-aircraft-2013b.tar.gz", content)
