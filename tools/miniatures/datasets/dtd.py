"""DTD in little: an image of each texture in each split of the first partition, a fourth of two for training."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_tar
from tools.miniatures.pen import Pen

TEXTURES = """
banded blotchy braided bubbly bumpy chequered cobwebbed cracked crosshatched crystalline dotted fibrous flecked
freckled frilly gauzy grid grooved honeycombed interlaced knitted lacelike lined marbled matted meshed paisley
perforated pitted pleated polka-dotted porous potholed scaly smeared spiralled sprinkled stained stratified striped
studded swirly veined waffled woven wrinkled zigzagged
""".split()  # noqa: SIM905


def write(folder: Path, pen: Pen) -> None:
    """dtd-r1.0.1.tar.gz with dtd/images/TEXTURE/TEXTURE_NUMBER.jpg and ten partitions, of which the first is used."""
    splits = ("train", "val", "test")
    content: dict[str, bytes] = {}
    names: dict[str, list[str]] = {split: [] for split in splits}
    for place, texture in enumerate(TEXTURES):
        for number, split in enumerate((*splits, "train") if place < 2 else splits):
            name = f"{texture}/{texture}_{number + 1:04}.jpg"
            content[f"dtd/images/{name}"] = pen.encoded(split, texture, size=(40, 32))
            names[split].append(name)
    for partition in range(10):
        for place, split in enumerate(splits):
            listed = names[splits[(place + partition) % 3]]
            content[f"dtd/labels/{split}{partition + 1}.txt"] = ("\n".join(listed) + "\n").encode()
    content["dtd/labels/labels_joint_anno.txt"] = b""
    write_tar(folder / "dtd-r1.0.1.tar.gz", content)
