"""COIL-100: 100 objects on a turntable, 72 views each, in colour.

The authors publish no split. NEVIS'22 divides the views by their angle: 350, 355, 0, 5 and 10 degrees train, 80 to 100
degrees choose (dev), 250 to 270 degrees are dev-test and the others test.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import MINIATURE, OfficialFile, Release


def _read(files: Files) -> Listing:
    views = files.match(r"coil-100/obj(\d+)__\d+\.png")
    return by_class(files, {"all": [(name, f"obj{int(found[1]):03}") for name, found in views]})


RELEASE = Release(
    name="coil100",
    title="COIL-100",
    files=(
        OfficialFile(
            "coil-100.zip",
            ("http://www.cs.columbia.edu/CAVE/databases/SLAM_coil-20_coil-100/coil-100/coil-100.zip",),
            holds=("coil-100",),
        ),
    ),
    read=_read,
    classes=100,
    images=7_200,
    licence="none stated; research",
    citation="Nene, Nayar, Murase, Columbia Object Image Library (COIL-100), CUCS-006-96, 1996",
    page="https://www.cs.columbia.edu/CAVE/software/softlib/coil-100.php",
    checked=MINIATURE,
)
