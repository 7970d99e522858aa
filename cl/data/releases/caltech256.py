"""Caltech 256: 256 kinds of objects, and clutter; 80 images or more of each."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release


def _read(files: Files) -> Listing:
    """The folders NUMBER.CLASS in the authors' order; what the authors left in deeper folders is no image of theirs."""
    found = [
        (name, int(matched[1]), matched[2])
        for name, matched in files.match(r"256_ObjectCategories/(\d{3})\.([^/]+)/\d{3}_\d{4}\.jpg")
    ]
    order = dict(sorted({(number, label) for _, number, label in found}))
    return by_class(files, {"all": [(name, label) for name, _, label in found]}, tuple(order.values()))


RELEASE = Release(
    name="caltech256",
    title="Caltech 256",
    files=(
        OfficialFile(
            "256_ObjectCategories.tar",
            ("https://data.caltech.edu/records/nyy15-4j048/files/256_ObjectCategories.tar",),
            md5="67b4f42ca05d46448c6bb8ecd2220f6d",
            holds=("256_ObjectCategories",),
        ),
    ),
    read=_read,
    classes=257,
    images=30_607,
    licence="CC BY 4.0",
    citation="Griffin, Holub, Perona, Caltech-256 Object Category Dataset, Caltech Technical Report 7694, 2007",
    page="https://data.caltech.edu/records/nyy15-4j048",
    checked=TORCHVISIONS,
)
