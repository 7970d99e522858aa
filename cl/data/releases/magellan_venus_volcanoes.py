"""Magellan Venus volcanoes: 134 radar images in grey, 1024 x 1024, and the volcanoes that experts marked in them.

An image is raw bytes (img1.sdt); a mark in img1.lxyr is a line with its certainty (1 definitely a volcano, 2 probably,
3 possibly, 4 only a pit is visible), place and radius. The class is whether there is a definite volcano, as in
NEVIS'22. The authors publish no split.
"""

from __future__ import annotations

import numpy as np

from cl.data.official.files import Files
from cl.data.official.listing import Examples, Listing
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.data.store import PixelArray
from cl.errors import DataError

_UCI = "https://archive.ics.uci.edu"
_SIDE = 1_024


def _read(files: Files) -> Listing:
    found = [(name, each[1]) for name, each in files.match(r"package/Images/(img\d+)\.sdt")]
    marks = (files.lines(f"package/GroundTruths/{image}.lxyr") for _, image in found)
    labels = np.array([any(line.split()[0] == "1" for line in lines) for lines in marks], np.int64)

    def decode(index: int) -> PixelArray:
        name = found[index][0]
        pixels = np.frombuffer(files.read(name), np.uint8)
        if pixels.size != _SIDE * _SIDE:
            raise DataError(f"{name} of {files.where} has not {_SIDE} x {_SIDE} pixels; get it again.")
        return pixels.reshape(_SIDE, _SIDE, 1)

    every = Examples(labels, decode, lambda: [f"{name}\t{files.stamp(name)}" for name, _ in found])
    return Listing(("no definite volcano", "definite volcano"), {"all": every})


RELEASE = Release(
    name="magellan_venus_volcanoes",
    title="Magellan Venus volcanoes",
    files=(
        OfficialFile(
            "volcanoes.tar.gz",
            (f"{_UCI}/ml/machine-learning-databases/volcanoes-mld/volcanoes.tar.gz",),
            md5="55143a4ec42b626126c9b4ed618f59f8",
            holds=("package/Images", "package/GroundTruths"),
        ),
    ),
    read=_read,
    classes=2,
    images=134,
    licence="CC BY 4.0",
    citation="Burl et al., Learning to Recognize Volcanoes on Venus, Machine Learning, 1998",
    page=f"{_UCI}/ml/datasets/volcanoes+on+venus+-+jartool+experiment",
    checked=HANDLERS,
)
