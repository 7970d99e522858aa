"""8 Scene Dataset: colour photographs of eight kinds of outdoor scenes, 256 x 256."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_NAME = "spatial_envelope_256x256_static_8outdoorcategories"
_SITE = "https://people.csail.mit.edu/torralba/code/spatialenvelope/"
_SCENES = "coast|forest|highway|insidecity|mountain|opencountry|street|tallbuilding"


def _read(files: Files) -> Listing:
    """The name of a file begins with its scene."""
    found = files.match(rf"{_NAME}/({_SCENES})_[^/]+\.jpg")
    return by_class(files, {"all": [(name, each[1]) for name, each in found]})


RELEASE = Release(
    name="scenes8",
    title="8 Scene Dataset",
    files=(
        OfficialFile(f"{_NAME}.zip", (f"{_SITE}{_NAME}.zip",), md5="c26fe529d49848091a759d7aadd267f5", holds=(_NAME,)),
    ),
    read=_read,
    classes=8,
    images=2_688,
    licence="none stated; research",
    citation="Oliva, Torralba, Modeling the shape of the scene, IJCV 2001",
    page=_SITE,
    checked=HANDLERS,
)
