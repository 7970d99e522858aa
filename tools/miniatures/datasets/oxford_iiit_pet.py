"""Oxford-IIIT Pet in little: two training images and one test image of each breed, and one that no list names."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_tar
from tools.miniatures.pen import Pen

BREEDS = """
Abyssinian american_bulldog american_pit_bull_terrier basset_hound beagle Bengal Birman Bombay boxer
British_Shorthair chihuahua Egyptian_Mau english_cocker_spaniel english_setter german_shorthaired great_pyrenees
havanese japanese_chin keeshond leonberger Maine_Coon miniature_pinscher newfoundland Persian pomeranian pug
Ragdoll Russian_Blue saint_bernard samoyed scottish_terrier shiba_inu Siamese Sphynx staffordshire_bull_terrier
wheaten_terrier yorkshire_terrier
""".split()  # noqa: SIM905
"""Cats have capital letters; the breeds are numbered in this order."""


def write(folder: Path, pen: Pen) -> None:
    """Two archives: images/BREED_NUMBER.jpg, and the lists with trimaps and boxes."""
    images: dict[str, bytes] = {}
    annotations: dict[str, bytes] = {}
    lines: dict[str, list[str]] = {"train": [], "test": []}
    seen = {1: 0, 2: 0}
    for number, breed in enumerate(BREEDS, 1):
        species = 1 if breed[0].isupper() else 2
        seen[species] += 1
        for place, split in enumerate(("train", "train", "test", "")):
            name = f"{breed}_{place + 1}"
            images[f"images/{name}.jpg"] = pen.encoded(split, breed, size=(40, 32))
            annotations[f"annotations/trimaps/{name}.png"] = pen.encoded("", breed, "PNG", mode="L")
            annotations[f"annotations/trimaps/._{name}.png"] = b"a file of the system"
            if split:
                lines[split].append(f"{name} {number} {species} {seen[species]}")
    images["images/Abyssinian_100.mat"] = b""
    heading = ["#Image CLASS-ID SPECIES BREED ID"]
    for name, found in (("trainval", lines["train"]), ("test", lines["test"])):
        annotations[f"annotations/{name}.txt"] = ("\n".join(found) + "\n").encode()
    annotations["annotations/list.txt"] = "\n".join([*heading, *lines["train"], *lines["test"]]).encode()
    write_tar(folder / "images.tar.gz", images)
    write_tar(folder / "annotations.tar.gz", annotations)
