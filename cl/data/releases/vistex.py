"""VisTex (Vision Texture 1.0), reference textures: 167 photos in 19 groups such as bark, brick and water.

A group has 2 to 20 photos. The texture scenes are not used. The archive has eight more inside, compressed as Unix did
in 1995, whose unpacking takes minutes and is done once.
"""

from __future__ import annotations

from cl.data.official.files import Files, joined
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_ROOT = "VisionTexture"
_PARTS = r"VisionTexture/[^/]+\.tar(\.Z)?"


def _read(files: Files) -> Listing:
    """Images/Reference/GROUP/NAME.ppm, links to images of which all sections make use."""
    if not any(name.startswith(f"{_ROOT}/VisTex/") for name in files.names):
        files = joined(files, *(files.inside(name, _ROOT) for name, _ in files.match(_PARTS)))
    images = files.match(rf"{_ROOT}/VisTex/Images/Reference/([^/]+)/[^/]+\.ppm")
    return by_class(files, {"all": [(name, found[1]) for name, found in images]})


RELEASE = Release(
    name="vistex",
    title="VisTex",
    files=(
        OfficialFile(
            "VisTex.tar.gz",
            ("http://vismod.media.mit.edu/pub/VisTex/VisTex.tar.gz",),
            md5="f176ad5c9383141f981e3668b232add7",
            holds=(_ROOT,),
        ),
    ),
    read=_read,
    classes=19,
    images=167,
    licence="education and research, with attribution",
    citation="MIT Media Laboratory, Vision Texture 1.0, 1995",
    page="https://vismod.media.mit.edu/vismod/imagery/VisionTexture/vistex.html",
    checked=HANDLERS,
)
