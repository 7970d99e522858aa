"""KTH-TIPS2-a: eleven materials, four samples of each, photographed at nine scales.

The usual test on other samples of a material than those learned is not NEVIS'22's, which divides all images at random.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_PAGE = "https://www.csc.kth.se/cvap/databases/kth-tips/"


def _read(files: Files) -> Listing:
    """KTH-TIPS2-a/MATERIAL/SAMPLE/NAME.png."""
    images = files.match(r"KTH-TIPS2-a/([^/]+)/sample_[a-d]/[^/]+\.png")
    return by_class(files, {"all": [(name, found[1]) for name, found in images]})


RELEASE = Release(
    name="kth_tips_2a",
    title="KTH-TIPS2-a",
    files=(
        OfficialFile(
            "kth-tips2-a_col_200x200.tar",
            (f"{_PAGE}kth-tips2-a_col_200x200.tar",),
            md5="911eb17220748fa36e6524aea71db7d7",
            holds=("KTH-TIPS2-a",),
        ),
    ),
    read=_read,
    classes=11,
    images=4_395,
    licence="none stated; research",
    citation="Caputo, Hayman, Mallikarjuna, Class-specific Material Categorisation, ICCV 2005",
    page=_PAGE,
    checked=HANDLERS,
)
