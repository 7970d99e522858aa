"""CVC-MUSCIMA, writers: 20 pages of handwritten music from each of 50 musicians, who are to be told apart.

Grey images and the first partition of set 2 are used, as in NEVIS'22. There a page is learned from all writers or from
none ("independent").
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_SITE = "http://wwwo.cvc.uab.es/cvcmuscima/"
_IMAGES = "CVCMUSCIMA_WI/PNG_GT_Gray"
_LIST = "Partitions_Set/set_2_Independent/set_2_{}_01.txt"


def _read(files: Files) -> Listing:
    """The lists name WRITER/PAGE.png."""
    rows = {
        split: [(f"{_IMAGES}/{line}", line.partition("/")[0]) for line in files.lines(_LIST.format(kind))]
        for split, kind in (("train", "training"), ("test", "testing"))
    }
    return by_class(files, rows)


RELEASE = Release(
    name="cvc_muscima",
    title="CVC-MUSCIMA",
    files=(
        OfficialFile(
            "CVCMUSCIMA_WI.zip",
            (f"{_SITE}CVCMUSCIMA_WI.zip",),
            md5="33d7464a3dc376a9456bbfe7aad8c18f",
            holds=(_IMAGES,),
        ),
        OfficialFile(
            "Partitions_Set.zip",
            (f"{_SITE}Partitions_Set.zip",),
            md5="dd22cff47fd50ca01ee077b757a978cd",
            holds=("Partitions_Set",),
        ),
    ),
    read=_read,
    classes=50,
    images=1_000,
    licence="CC BY-NC-SA 4.0",
    citation="Fornes, Dutta, Gordo, Llados, CVC-MUSCIMA, IJDAR 2012",
    page=f"{_SITE}index_database.html",
    checked=HANDLERS,
)
