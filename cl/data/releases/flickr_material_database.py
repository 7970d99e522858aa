"""Flickr Material Database (FMD): ten materials, 100 photos of each."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_PAGE = "https://people.csail.mit.edu/celiu/CVPR2010/FMD/"


def _read(files: Files) -> Listing:
    """image/MATERIAL/NAME.jpg; mask/ has the outlines of the objects."""
    images = files.match(r"image/([^/]+)/[^/]+\.jpg")
    return by_class(files, {"all": [(name, found[1]) for name, found in images]})


RELEASE = Release(
    name="flickr_material_database",
    title="Flickr Material Database",
    files=(
        OfficialFile(
            "FMD.zip",
            (f"{_PAGE}FMD.zip",),
            md5="0721ba72cd981aa9599a81bbfaaebd75",
            holds=("image", "image/fabric"),
        ),
    ),
    read=_read,
    classes=10,
    images=1_000,
    licence="Creative Commons licences of the photographers; research",
    citation="Sharan, Rosenholtz, Adelson, Accuracy and Speed of Material Categorization, Journal of Vision 2014",
    page=_PAGE,
    checked=HANDLERS,
    folders=("FMD",),
)
