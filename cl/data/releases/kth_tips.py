"""KTH-TIPS: ten materials, photographed at nine scales in three poses under three illuminations."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_PAGE = "https://www.csc.kth.se/cvap/databases/kth-tips/"


def _read(files: Files) -> Listing:
    """KTH_TIPS/MATERIAL/NAME.png."""
    images = files.match(r"KTH_TIPS/([^/]+)/[^/]+\.png")
    return by_class(files, {"all": [(name, found[1]) for name, found in images]})


RELEASE = Release(
    name="kth_tips",
    title="KTH-TIPS",
    files=(
        OfficialFile(
            "kth_tips_col_200x200.tar",
            (f"{_PAGE}kth_tips_col_200x200.tar",),
            md5="4f92fe540feb4f3c66938291e4516f6c",
            holds=("KTH_TIPS",),
        ),
    ),
    read=_read,
    classes=10,
    images=810,
    licence="none stated; research",
    citation="Hayman, Caputo, Fritz, Eklundh, Real-World Conditions for Material Classification, ECCV 2004",
    page=_PAGE,
    checked=HANDLERS,
)
