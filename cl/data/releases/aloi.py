"""ALOI: 1,000 small objects in colour under other lights (24 images each), colours of light (12) and views (72).

The images have a quarter of the full resolution (192 x 144). The stereo images and the masks are left out, as in
NEVIS'22. The authors publish no split; NEVIS'22 tests on the other lights and trains on the other two.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_OBJECTS = 1_000
_PARTS = (
    ("ill", "l1c1", "0f72c3acf66908e61b6f8d5bf5981193"),
    ("col", "i110", "c0486588258de8a26df4ed7aff0b34f8"),
    ("view", "r0", "ca29f342bb0c1fa4788e9f76f591ec59"),
)


def _read(files: Files) -> Listing:
    """OBJECT/OBJECT_lLIGHTcCAMERA.png, OBJECT_iCOLOUR.png, OBJECT_rANGLE.png."""
    found = files.match(r"png4/(\d+)/\d+_(?:l\d+c\d+|i\d+|r\d+)\.png")
    names = tuple(f"object {number}" for number in range(1, _OBJECTS + 1))
    return by_class(files, {"all": [(name, f"object {each[1]}") for name, each in found]}, names)


RELEASE = Release(
    name="aloi",
    title="ALOI",
    files=tuple(
        OfficialFile(
            f"aloi_red4_{part}.tar",
            (f"http://aloi.science.uva.nl/tars/aloi_red4_{part}.tar",),
            md5=md5,
            holds=("png4", f"png4/1/1_{first}.png"),
        )
        for part, first, md5 in _PARTS
    ),
    read=_read,
    classes=_OBJECTS,
    images=108_000,
    licence="none stated; research",
    citation="Geusebroek, Burghouts, Smeulders, The Amsterdam Library of Object Images, IJCV 2005",
    page="https://aloi.science.uva.nl/",
    checked=HANDLERS,
)
