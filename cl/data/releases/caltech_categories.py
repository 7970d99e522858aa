"""Caltech cars and motorbikes: rear views of cars taken in 1999 and 2001, and side views of motorbikes.

Three of the categories at data.caltech.edu, as in NEVIS'22; the authors publish no split. Each zip holds a tar, which
`read` opens in it.
"""

from __future__ import annotations

from cl.data.official.files import Files, joined
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_SITE = "https://data.caltech.edu/records"
_CATEGORIES = (
    ("Cars_2001", "cars_brad", "car", "dvx6b-vsc46", "e68efb9197ed6a9bc94ce46c79378d29"),
    ("Cars_1999", "cars_markus", "car", "fmbpr-ezq86", "79b12e08cf5f711f27bbd3e9c6bf371f"),
    ("motorbikes_side", "motorbikes_side", "motorcycle", "pxb2q-1e144", "ac51dc40c8df085c6663f38307685079"),
)
"""Name of the zip, of the tar in it, class, record and checksum."""


def _read(files: Files) -> Listing:
    images = joined(*(files.inside(f"{zipped}/{tar}.tar", zipped) for zipped, tar, *_ in _CATEGORIES))
    classes = {zipped: kind for zipped, _, kind, *_ in _CATEGORIES}
    found = images.match(rf"({'|'.join(classes)})/(?:.*/)?[^/]+\.jpg")
    return by_class(images, {"all": [(name, classes[each[1]]) for name, each in found]})


RELEASE = Release(
    name="caltech_categories",
    title="Caltech cars and motorbikes",
    files=tuple(
        OfficialFile(
            f"{zipped}.zip",
            (f"{_SITE}/{record}/files/{zipped}.zip?download=1",),
            md5=md5,
            holds=(f"{zipped}/{tar}.tar",),
        )
        for zipped, tar, _, record, md5 in _CATEGORIES
    ),
    read=_read,
    classes=2,
    images=1_478,
    licence="CC BY 4.0",
    citation="Fergus, Perona, Zisserman, Object Class Recognition by Unsupervised Scale-Invariant Learning, CVPR 2003",
    page="https://data.caltech.edu/records/dvx6b-vsc46",
    checked=HANDLERS,
)
