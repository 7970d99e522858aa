"""Butterflies: photographs of seven kinds, ten of each for testing.

The test images are those that the authors list in butterflies_f_order.txt, which is not in the archive; their numbers
are here.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_SITE = "https://web.archive.org/web/20070829035029/http://www-cvr.ai.uiuc.edu/ponce_grp/data"
_TEST = {
    "admiral": (6, 9, 14, 41, 53, 55, 66, 86, 92, 103),
    "black_swallowtail": (2, 4, 15, 22, 25, 27, 28, 31, 35, 41),
    "machaon": (12, 14, 20, 24, 25, 29, 52, 53, 82, 83),
    "monarch_closed": (9, 23, 27, 28, 29, 36, 44, 58, 67, 72),
    "monarch_open": (8, 15, 21, 34, 35, 46, 58, 76, 78, 83),
    "peacock": (1, 20, 22, 52, 59, 86, 96, 124, 126, 131),
    "zebra": (6, 18, 21, 26, 31, 43, 57, 75, 78, 90),
}
"""Numbers of the test images of each kind."""


def _read(files: Files) -> Listing:
    """KIND/LETTERSNUMBER.jpg."""
    rows: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}
    for name, found in files.match(rf"({'|'.join(_TEST)})/[a-z]+(\d+)\.jpg"):
        rows["test" if int(found[2]) in _TEST[found[1]] else "train"].append((name, found[1]))
    return by_class(files, rows, tuple(_TEST))


RELEASE = Release(
    name="butterflies",
    title="Butterflies",
    files=(
        OfficialFile(
            "butterflies.zip",
            (f"{_SITE}/butterflies/butterflies.zip",),
            md5="cc9bfe5e22f9001262b785ff33221581",
            holds=tuple(_TEST),
        ),
    ),
    read=_read,
    classes=len(_TEST),
    images=619,
    licence="none stated; research",
    citation="Lazebnik, Schmid, Ponce, Semi-Local Affine Parts for Object Recognition, BMVC 2004",
    page=f"{_SITE}/index.html",
    checked=HANDLERS,
)
