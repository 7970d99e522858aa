"""MPEG-7 CE Shape-1 Part B: silhouettes of 70 kinds of objects, 20 of each.

A file is named after its class, with a number from 1. The archive has a second ninth rat, rat-09.gif, which is left
out if there is rat-9.gif; NEVIS'22 takes both. Two overviews among the files are left out too.
"""

from __future__ import annotations

from PIL import Image

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class, image_files
from cl.data.official.release import HANDLERS, OfficialFile, Release

_SITE = "https://dabi.temple.edu/external/shape/MPEG7"


def _read(files: Files) -> Listing:
    names: dict[tuple[str, int], str] = {}
    for name, found in files.match(r"original/([A-Za-z_]+\d?)-(\d+)\.gif"):
        names[found[1], int(found[2])] = name  # sorted: rat-09.gif comes before rat-9.gif
    listing = by_class(files, {"all": [(name, kind) for (kind, _), name in names.items()]})
    grey = image_files(files, list(names.values()), listing.splits["all"].labels, change=_grey)
    return Listing(listing.class_names, {"all": grey})


def _grey(image: Image.Image) -> Image.Image:
    """A palette of black and white, in which a GIF is stored, as levels of grey."""
    return image.convert("L")


RELEASE = Release(
    name="mpeg7",
    title="MPEG-7 shapes",
    files=(
        OfficialFile(
            "MPEG7dataset.zip",
            (f"{_SITE}/MPEG7dataset.zip",),
            md5="bedd54856c425dcc6e242515c4f67d75",
            holds=("original",),
        ),
    ),
    read=_read,
    classes=70,
    images=1_400,
    licence="none stated; research",
    citation="Latecki, Lakamper, Eckhardt, Shape Descriptors for Non-rigid Shapes with a Single Closed Contour, 2000",
    page=_SITE,
    checked=HANDLERS,
    folders=("MPEG7dataset",),
)
