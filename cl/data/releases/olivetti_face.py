"""Olivetti faces (ORL): 40 people, ten grey photographs of each.

Kaggle's copy, which NEVIS'22 uses, has JPEG files whose names end in the number of the person.

Differs from NEVIS'22's code: it declares 41 classes. The authors have 40 people; further ones in a copy are left out.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_PEOPLE = 40


def _read(files: Files) -> Listing:
    """The authors' sPERSON/NUMBER.pgm, or Kaggle's NUMBER_PERSON.jpg."""
    found = files.match(r"(?:.*/)?(?:s(\d+)/\d+\.pgm|\d+_(\d+)\.jpg)")
    rows = [(name, int(each[1] or each[2])) for name, each in found]
    people = tuple(f"s{number}" for number in range(1, _PEOPLE + 1))
    return by_class(files, {"all": [(name, f"s{person}") for name, person in rows if person <= _PEOPLE]}, people)


RELEASE = Release(
    name="olivetti_face",
    title="Olivetti faces",
    files=(
        OfficialFile(
            "att_faces.zip",
            ("https://www.cl.cam.ac.uk/research/dtg/attarchive/pub/data/att_faces.zip",),
            holds=tuple(f"s{number}" for number in range(1, _PEOPLE + 1)),
        ),
    ),
    also=(
        (OfficialFile("att_faces.tar.Z", holds=("orl_faces",)),),
        (
            OfficialFile(
                "the-orl-database-for-training-and-testing.zip",
                md5="09871495160825a485b0f2595ba2bb34",
            ),
        ),
    ),
    read=_read,
    classes=_PEOPLE,
    images=400,
    licence="none stated; credit AT&T Laboratories Cambridge",
    citation="Samaria, Harter, Parameterisation of a stochastic model for human face identification, WACV 1994",
    page="https://cam-orl.co.uk/facedatabase.html",
    checked=HANDLERS,
    folders=("att_faces",),
)
