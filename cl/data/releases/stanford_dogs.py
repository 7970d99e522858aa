"""Stanford Dogs: 120 breeds of dogs, 20,580 photos of ImageNet; whole photos, without the published boxes."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.matlab import texts
from cl.data.official.release import MINIATURE, OfficialFile, Release

_SITE = "http://vision.stanford.edu/aditya86/ImageNetDogs/"


def _read(files: Files) -> Listing:
    """A path in a list is SYNSET-BREED/FILE; breeds are numbered in the order of the synsets, as by the authors."""
    rows, folders = {}, set()
    for split in ("train", "test"):
        paths = texts(files, f"{split}_list.mat", "file_list")
        rows[split] = [(f"Images/{path}", _breed(path.partition("/")[0])) for path in paths]
        folders |= {path.partition("/")[0] for path in paths}
    return by_class(files, rows, [_breed(folder) for folder in sorted(folders)])


def _breed(folder: str) -> str:
    return folder.partition("-")[2]


RELEASE = Release(
    name="stanford_dogs",
    title="Stanford Dogs",
    files=(
        OfficialFile(
            "images.tar",
            (f"{_SITE}images.tar",),
            size=793_579_520,
            sha256="a443fc2f9a851aa1a7b8e4fa4af94b8459fce2c9f5a2f4dd4669cf9673a4ec58",
            holds=("Images",),
        ),
        OfficialFile(
            "lists.tar",
            (f"{_SITE}lists.tar",),
            size=481_280,
            sha256="34b47cacd9a98b5d150e084f24d29391c084c55272295ec65c85651bc35f4d6c",
            holds=("train_list.mat", "test_list.mat"),
        ),
    ),
    folders=("stanford-dogs", "StanfordDogs"),
    read=_read,
    classes=120,
    images=20_580,
    licence="as ImageNet: non-commercial research and education",
    citation="Khosla, Jayadevaprakash, Yao, Fei-Fei, Novel Dataset for Fine-Grained Image Categorization, FGVC 2011",
    page=f"{_SITE}main.html",
    checked=MINIATURE,
)
