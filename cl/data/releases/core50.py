"""CORe50: fifty household objects, each filmed in eleven sessions, 128 x 128 pixels.

Sessions 3, 7 and 10 are the authors' test images. Each object is a class, named as its folder; five neighbours are of
one kind (plug adapters, mobile phones, scissors, light bulbs, cans, glasses, balls, markers, cups, remote controls).
"""

from __future__ import annotations

from cl.data.official.core50 import sessions
from cl.data.official.files import Files
from cl.data.official.listing import Listing
from cl.data.official.release import MINIATURE, OfficialFile, Release

_SITE = "http://bias.csr.unibo.it/maltoni/download/core50/"


def _read(files: Files) -> Listing:
    return sessions(files)


def _part(files: Files, name: str) -> Listing:
    return sessions(files, (name,))


RELEASE = Release(
    name="core50",
    title="CORe50",
    files=(
        OfficialFile(
            "core50_128x128.zip",
            (f"{_SITE}core50_128x128.zip",),
            md5="745f3373fed08d69343f1058ee559e13",
            holds=("core50_128x128",),
        ),
    ),
    also=(
        (
            OfficialFile("core50_imgs.npz", (f"{_SITE}core50_imgs.npz",), md5="3689d65d0a1c760b87821b114c8c4c6c"),
            OfficialFile(
                "paths.pkl",
                ("https://vlomonaco.github.io/core50/data/paths.pkl",),
                md5="b568f86998849184df3ec3465290f1b0",
            ),
        ),
    ),
    folders=("CORe50", "CORE50"),
    read=_read,
    part=_part,
    classes=50,
    images=164_866,
    licence="CC BY 4.0",
    citation="Lomonaco, Maltoni, CORe50: a New Dataset and Benchmark for Continuous Object Recognition, CoRL 2017",
    page="https://vlomonaco.github.io/core50/",
    checked=MINIATURE,
)
