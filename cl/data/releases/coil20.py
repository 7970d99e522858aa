"""COIL-20: 20 objects on a turntable, 72 views each."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release


def _read(files: Files) -> Listing:
    views = files.match(r"coil-20-proc/obj(\d+)__\d+\.png")
    return by_class(files, {"all": [(name, f"obj{int(found[1]):02}") for name, found in views]})


RELEASE = Release(
    name="coil20",
    title="COIL-20",
    files=(
        OfficialFile(
            "coil-20-proc.zip",
            ("http://www.cs.columbia.edu/CAVE/databases/SLAM_coil-20_coil-100/coil-20/coil-20-proc.zip",),
            md5="464dec76a6abfcd00e8de6cf1e7d0acc",
            holds=("coil-20-proc",),
        ),
    ),
    read=_read,
    classes=20,
    images=1_440,
    licence="none stated; research",
    citation="Nene, Nayar, Murase, Columbia Object Image Library (COIL-20), CUCS-005-96, 1996",
    page="https://www.cs.columbia.edu/CAVE/software/softlib/coil-20.php",
    checked=HANDLERS,
)
