"""CUB-200-2011: 200 species of birds, 11,788 photos; boxes, parts and attributes are not read."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.lists import as_published
from cl.data.official.release import MINIATURE, OfficialFile, Release

_ROOT = "CUB_200_2011"


def _read(files: Files) -> Listing:
    """Four lists have a number and a value a line; a class is called NUMBER.NAME."""
    species = {number: name.partition(".")[2] for number, name in _pairs(files, "classes.txt").items()}
    labels, trained = _pairs(files, "image_class_labels.txt"), _pairs(files, "train_test_split.txt")
    rows: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}
    for image, path in _pairs(files, "images.txt").items():
        with as_published(files, f"A list in {_ROOT}"):
            split = "train" if trained[image] == "1" else "test"
            rows[split].append((f"{_ROOT}/images/{path}", species[labels[image]]))
    return by_class(files, rows, list(species.values()))


def _pairs(files: Files, name: str) -> dict[str, str]:
    lines = [line.partition(" ") for line in files.lines(f"{_ROOT}/{name}")]
    return {first: rest for first, _, rest in lines}


RELEASE = Release(
    name="caltech_birds2011",
    title="CUB 200",
    files=(
        OfficialFile(
            "CUB_200_2011.tgz",
            ("https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",),
            size=1_150_585_339,
            md5="97eceeb196236b17998738112f37df78",
            sha256="0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081",
            holds=(_ROOT,),
        ),
    ),
    folders=("cub-200", "cub200", "cub", "CUB"),
    read=_read,
    classes=200,
    images=11_788,
    licence="non-commercial research and education; the images belong to their owners",
    citation="Wah, Branson, Welinder, Perona, Belongie, The Caltech-UCSD Birds-200-2011 Dataset, CNS-TR-2011-001, 2011",
    page="https://www.vision.caltech.edu/datasets/cub_200_2011/",
    checked=MINIATURE,
)
