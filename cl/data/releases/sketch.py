"""TU Berlin's sketches: 250 kinds of objects, drawn by 80 people each, black lines of 1,111 x 1,111 pixels."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_PAGE = "https://cybertron.cg.tu-berlin.de/eitz/projects/classifysketch/"


def _read(files: Files) -> Listing:
    """png/OBJECT/NUMBER.png."""
    images = files.match(r"png/([^/]+)/\d+\.png")
    return by_class(files, {"all": [(name, found[1]) for name, found in images]})


RELEASE = Release(
    name="sketch",
    title="TU Berlin sketches",
    files=(
        OfficialFile(
            "sketches_png.zip",
            (f"{_PAGE}sketches_png.zip",),
            md5="023123df86a928a5273e3ba11990d8fd",
            holds=("png", "png/airplane"),
        ),
    ),
    read=_read,
    classes=250,
    images=20_000,
    licence="CC BY 4.0",
    citation="Eitz, Hays, Alexa, How Do Humans Sketch Objects?, ACM Transactions on Graphics 2012",
    page=_PAGE,
    checked=HANDLERS,
)
