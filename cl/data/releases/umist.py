"""UMIST (Sheffield) faces: 20 people in poses from profile to frontal, grey.

The authors call the people 1a to 1t. They state 564 images; some copies have 575.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_PEOPLE = tuple(f"1{letter}" for letter in "abcdefghijklmnopqrst")


def _read(files: Files) -> Listing:
    found = files.match(r"(1[a-t])/[^/]+\.pgm")
    return by_class(files, {"all": [(name, each[1]) for name, each in found]})


RELEASE = Release(
    name="umist",
    title="UMIST faces",
    files=(
        OfficialFile(
            "face.tar.gz",
            ("http://eprints.lincoln.ac.uk/id/eprint/16081/1/face.tar.gz",),
            md5="11011ab5dded043f5e4331711c2407c8",
            holds=_PEOPLE,
        ),
    ),
    read=_read,
    classes=20,
    images=0,
    licence="none stated; research",
    citation="Graham, Allinson, Characterizing Virtual Eigensignatures for General Purpose Face Recognition, 1998",
    page="http://eprints.lincoln.ac.uk/id/eprint/16081",
    checked=HANDLERS,
)
