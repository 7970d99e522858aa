"""UIUC textures: 25 kinds, 40 grey photos of each from various distances and angles."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_SITE = "http://www-cvr.ai.uiuc.edu/ponce_grp/data/texture_database/"
_KEPT = f"https://web.archive.org/web/20070829035029/{_SITE}"

CLASSES = tuple(
    """bark1 bark2 bark3 wood1 wood2 wood3 water granite marble floor1 floor2 pebbles wall brick1 brick2 glass1 glass2
    carpet1 carpet2 upholstery wallpaper fur knit corduroy plaid""".split()  # noqa: SIM905
)
"""The textures in the authors' order."""


def folder(place: int) -> str:
    """The folder of a texture: T01_bark1."""
    return f"T{place + 1:02}_{CLASSES[place]}"


def _read(files: Files) -> Listing:
    images = files.match(r"T\d\d_([^/]+)/T\d\d_\d\d\.jpg")
    return by_class(files, {"all": [(name, found[1]) for name, found in images]}, CLASSES)


def _archive(first: int, check: str) -> OfficialFile:
    """The archive of five textures."""
    name = f"T{first:02}-T{first + 4:02}.zip"
    folders = tuple(folder(place) for place in range(first - 1, first + 4))
    return OfficialFile(name, (f"{_KEPT}{name}", f"{_SITE}{name}"), md5=check, holds=folders)


RELEASE = Release(
    name="uiuc_texture",
    title="UIUC textures",
    files=(
        _archive(1, "e622e4708e336d51b3bbd45503618af1"),
        _archive(6, "50ab35564058d3f1d05e6f5d767db5df"),
        _archive(11, "d1c7584aeb0ab1e41c7157c60e84c3ad"),
        _archive(16, "d527ba7d820e1eeaef49f9c07b82aa34"),
        _archive(21, "74a29af10123f2be70ea481e5af3ec36"),
    ),
    read=_read,
    classes=25,
    images=1_000,
    licence="none stated; research",
    citation="Lazebnik, Schmid, Ponce, A Sparse Texture Representation Using Local Affine Regions, PAMI 2005",
    page="https://web.archive.org/web/20070829035029/http://www-cvr.ai.uiuc.edu/ponce_grp/data/index.html",
    checked=HANDLERS,
)
