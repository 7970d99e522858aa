"""notMNIST, its small part: letters A to J in the glyphs of many fonts, grey, 28 x 28 pixels.

There is no official split. Two files of the archive are no images and are left out.

Differs from NEVIS'22's code: it leaves out repeated images of a letter. The archive of Kaggle, which it reads, has the
large part too, which nobody cleaned and which is not read.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_BROKEN = (
    "A/RGVtb2NyYXRpY2FCb2xkT2xkc3R5bGUgQm9sZC50dGY=.png",
    "F/Q3Jvc3NvdmVyIEJvbGRPYmxpcXVlLnR0Zg==.png",
)


def _read(files: Files) -> Listing:
    """Images in notMNIST_small/LETTER/; Kaggle's archive puts the folder into another one of its name."""
    images = files.match(r"(?:notMNIST_small/)?notMNIST_small/([A-J])/[^/]+\.png")
    return by_class(files, {"all": [(name, found[1]) for name, found in images if not name.endswith(_BROKEN)]})


RELEASE = Release(
    name="not_mnist",
    title="notMNIST",
    files=(
        OfficialFile(
            "notMNIST_small.tar.gz",
            (
                "http://yaroslavvb.com/upload/notMNIST/notMNIST_small.tar.gz",
                "https://commondatastorage.googleapis.com/books1000/notMNIST_small.tar.gz",
            ),
            8_458_043,
            holds=tuple(f"notMNIST_small/{letter}" for letter in "ABCDEFGHIJ"),
        ),
    ),
    also=((OfficialFile("notmnist.zip", md5="e2a47bb2a88c2c6bcae60d9f95223ace", holds=("notMNIST_small",)),),),
    read=_read,
    classes=10,
    images=18_724,
    licence="none stated; research",
    citation="Bulatov, notMNIST dataset, 2011",
    page="http://yaroslavvb.blogspot.com/2011/09/notmnist-dataset.html",
    checked=HANDLERS,
    folders=("notMNIST", "notmnist"),
)
