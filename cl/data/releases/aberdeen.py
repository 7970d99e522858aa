"""Aberdeen faces: colour photographs of people, between 1 and 18 of each.

A file is named after its person, with a number. Eight people have further photographs under another name (marieg for
marie), which count as theirs, as in NEVIS'22.

Differs from NEVIS'22's code: it declares 92 classes; one of them, jsheenang, is such another name and has no image.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_SAME = {
    "clean_adrian": "adrian",
    "dhawleyg": "dhawley",
    "graemeg": "graeme",
    "heatherg": "heather",
    "jsheenang": "jsheenan",
    "kayg": "kay",
    "marieg": "marie",
    "neilg": "neil",
}
"""Other names of the same people."""


def _read(files: Files) -> Listing:
    found = files.match(r"(?i)([a-z_]+)[^/]*\.jpg")
    return by_class(files, {"all": [(name, _SAME.get(each[1], each[1])) for name, each in found]})


RELEASE = Release(
    name="aberdeen",
    title="Aberdeen faces",
    files=(
        OfficialFile(
            "Aberdeen.zip", ("http://pics.stir.ac.uk/zips/Aberdeen.zip",), md5="1f7044bd5f0bed01286263aa580a7a87"
        ),
    ),
    read=_read,
    classes=91,
    images=687,
    licence="research",
    citation="Craw et al., Aberdeen face database, Psychological Image Collection at Stirling (PICS)",
    page="http://pics.stir.ac.uk/",
    checked=HANDLERS,
)
