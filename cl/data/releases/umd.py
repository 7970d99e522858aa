"""UMD textures: 25 kinds, 40 grey photos of each with 1,280 x 960 pixels.

The authors number the textures and name none.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.errors import DataError

_SITE = "http://users.umiacs.umd.edu/~fer/High-resolution-data-base/"
_COUNT = 25
_FOLDERS = tuple(str(number) for number in range(1, _COUNT + 1))

CLASSES = tuple(f"texture {number}" for number in range(1, _COUNT + 1))


def _read(files: Files) -> Listing:
    """NUMBER/NAME.png, in whichever of the two archives."""
    rows = []
    for name, found in files.match(r"(?:[^/]+/)?(\d+)/[^/]+\.(?i:png|jpg)"):
        if found[1] not in _FOLDERS:
            raise DataError(f"{files.where} has a folder {found[1]}, but textures are 1 to {_COUNT}; get it again.")
        rows.append((name, CLASSES[int(found[1]) - 1]))
    return by_class(files, {"all": rows}, CLASSES)


RELEASE = Release(
    name="umd",
    title="UMD textures",
    files=(
        OfficialFile(
            "textures-1.zip",
            (f"{_SITE}textures-1.zip", "http://www.cfar.umd.edu/~fer/High-resolution-data-base/textures-1.zip"),
            md5="818b5b13035374cffd4db604e718ddbf",
            holds=_FOLDERS,
        ),
        OfficialFile(
            "textures-2.zip",
            (f"{_SITE}textures-2.zip", "http://www.cfar.umd.edu/~fer/High-resolution-data-base/textures-2.zip"),
            md5="e9853d0f7eaa9e57c4756e9017d0cbc9",
            holds=_FOLDERS,
        ),
    ),
    read=_read,
    classes=25,
    images=1_000,
    licence="none stated; research",
    citation="Xu, Ji, Fermuller, A Projective Invariant for Textures, CVPR 2006",
    page="http://users.umiacs.umd.edu/~fer/website-texture/texture.htm",
    checked=HANDLERS,
)
