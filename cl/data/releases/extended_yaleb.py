"""Extended Yale Face Database B: 28 people, each in nine poses under 64 lights, grey.

Images with ambient light alone (yaleB11_P00_Ambient.pgm) are left out, as in NEVIS'22. The people are numbered 11 to
13 and 15 to 39. The authors publish no split. NEVIS'22 divides by pose: P00, P02, P03, P04 and P07 train, P05 chooses
(dev), P01 is dev-test, P06 and P08 test.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_POSES = 9


def _read(files: Files) -> Listing:
    """yaleBPERSON_PPOSEAAZIMUTHEELEVATION.pgm, in any folder."""
    found = files.match(rf"(?:.*/)?(yaleB\d+)_P0[0-{_POSES - 1}]A[+-]\d+E[+-]\d+\.pgm")
    return by_class(files, {"all": [(name, each[1]) for name, each in found]})


RELEASE = Release(
    name="extended_yaleb",
    title="Extended Yale B",
    files=(
        OfficialFile(
            "ExtendedYaleB.tar.bz2",
            ("http://vision.ucsd.edu/extyaleb/ExtendedYaleB.tar.bz2",),
            holds=("ExtendedYaleB",),
        ),
    ),
    also=((OfficialFile("extended-yale-dataset-b.zip", md5="ef37284be91fe0c81dcd96baa948a2db"),),),
    read=_read,
    classes=28,
    images=16_128,
    licence="research",
    citation="Georghiades, Belhumeur, Kriegman, From Few to Many, PAMI 2001; Lee, Ho, Kriegman, PAMI 2005",
    page="http://vision.ucsd.edu/~leekc/ExtYaleDatabase/ExtYaleB.html",
    checked=HANDLERS,
)
