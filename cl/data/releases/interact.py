"""INTERACT: 60 interactions of two people, as photos and as illustrations that people put together of clip art.

Three photos are truncated and left out, as in NEVIS'22.

Differs from NEVIS'22's code: there all illustrations are training images and the photos of each class are split; here
both are returned without a split.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.lists import as_published
from cl.data.official.release import HANDLERS, OfficialFile, Release

_SITE = "https://computing.ece.vt.edu/~santol/projects/zsl_via_visual_abstraction/interact/"
_PHOTOS, _DRAWINGS = "interact_stand-alone_dataset", "interact_illustration_category_dataset"
_LISTS = ("interact_final_dataset_labels_and_images.txt", f"{_DRAWINGS}_labels_and_images.txt")
TRUNCATED = (
    "22TCSTMOFXRDFDVIK9PDTXJK5OZTQ6_20.jpg",
    "249YW2GTP9RAU1I25WX94SOKQN6OTI_16.jpg",
    "24PFCD45XCETAM5TCF9N9TGUNNTZXA_02.jpg",
)


def _read(files: Files) -> Listing:
    """A line of a list is the number of the class, a file and the name of the class."""
    lines = [line.split(";") for name in _LISTS for line in files.lines(name)]
    with as_published(files, f"A line in {' or '.join(_LISTS)}"):
        names = {int(number): name for number, _, name in lines}
    rows = [(f"imgs/{image}", name) for _, image, name in lines if image not in TRUNCATED]
    return by_class(files, {"all": rows}, [names[number] for number in sorted(names)])


def _archive(folder: str, kind: str, md5: str, holds: str) -> OfficialFile:
    return OfficialFile(f"{folder}_{kind}.zip", (f"{_SITE}{folder}/{folder}_{kind}.zip",), md5=md5, holds=(holds,))


RELEASE = Release(
    name="interact",
    title="Interact",
    files=(
        _archive(_PHOTOS, "images", "93d7a853e0e596e7ef7fecc4808ffdf8", "imgs"),
        _archive(_PHOTOS, "annotations", "aef1de2ad7c596a566cd78414a266f5f", _LISTS[0]),
        _archive(_DRAWINGS, "images", "47c043e360a177c026fa7b7652fdf5b2", "imgs"),
        _archive(_DRAWINGS, "annotations", "56dec629f180077eb2a76b3f67c7b02f", _LISTS[1]),
    ),
    read=_read,
    classes=60,
    images=0,
    licence="none stated; research",
    citation="Antol, Zitnick, Parikh, Zero-Shot Learning via Visual Abstraction, ECCV 2014",
    page=f"{_SITE}index.html",
    checked=HANDLERS,
)
