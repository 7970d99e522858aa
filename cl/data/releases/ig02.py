"""Graz-02 with INRIA's annotations: photos of bikes, cars and people; without those of the background.

The authors suggest a balanced split of 479 training and 479 test images. NEVIS'22 does not use it: it divides all 1,096
images itself, and so they are given here. It also drops images that another one repeats, which is not done here.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_SITE = "https://lear.inrialpes.fr/people/marszalek/data/ig02/"
_CLASSES = ("bikes", "cars", "people")


def _read(files: Files) -> Listing:
    """CLASS/NAME.image.png; masks of the objects are next to them."""
    images = files.match(rf"({'|'.join(_CLASSES)})/[^/]+\.image\.png")
    return by_class(files, {"all": [(name, found[1]) for name, found in images]}, _CLASSES)


def _archive(name: str, check: str) -> OfficialFile:
    file = f"ig02-v1.0-{name}.zip"
    return OfficialFile(file, (f"{_SITE}{file}",), md5=check, holds=(name, f"{name}_train.txt", f"{name}_test.txt"))


RELEASE = Release(
    name="ig02",
    title="Graz-02 (IG02)",
    files=(
        _archive("bikes", "13266fdf968176fa3aebdd439184254f"),
        _archive("cars", "34de933832755ee009c6f0e9d9c6426e"),
        _archive("people", "f80d8d21f018197979c72b977986fd2f"),
    ),
    read=_read,
    classes=3,
    images=1_096,
    licence="none stated; research",
    citation="Marszalek, Schmid, Accurate Object Localization with Shape Masks, CVPR 2007",
    page=_SITE,
    checked=HANDLERS,
)
