"""MIT Indoor Scenes: 67 kinds of rooms, with lists of 80 training and 20 test images of each."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_LISTS = {"train": "TrainImages.txt", "test": "TestImages.txt"}
_PAGE = "http://web.mit.edu/torralba/www/"


def _read(files: Files) -> Listing:
    """The images that the lists name; a path in a list begins with its class."""
    rooms = _rooms(files)
    return by_class(
        files,
        {
            split: [(rooms + line, line.partition("/")[0]) for line in files.lines(name)]
            for split, name in _LISTS.items()
        },
    )


def _rooms(files: Files) -> str:
    """The folder of the rooms: Kaggle's archive puts the authors' into another one."""
    name, _ = next(files.match(r"(indoorCVPR_09/)?Images/[^/]+/[^/]+\.jpg"))
    return name[: name.index("Images/")] + "Images/"


RELEASE = Release(
    name="mit_scenes",
    title="MIT Indoor Scenes",
    files=(
        OfficialFile(
            "indoorCVPR_09.tar",
            ("http://groups.csail.mit.edu/vision/LabelMe/NewImages/indoorCVPR_09.tar",),
            holds=("Images",),
        ),
        OfficialFile("TrainImages.txt", (f"{_PAGE}TrainImages.txt",)),
        OfficialFile("TestImages.txt", (f"{_PAGE}TestImages.txt",)),
    ),
    also=(
        (
            OfficialFile(
                "indoor-scenes-cvpr-2019.zip",
                md5="b5a8ee875edc974ab49f4cad3b8607da",
                holds=("indoorCVPR_09", "TrainImages.txt", "TestImages.txt"),
            ),
        ),
    ),
    read=_read,
    classes=67,
    images=6_700,
    licence="none stated; research",
    citation="Quattoni, Torralba, Recognizing Indoor Scenes, CVPR 2009",
    page="http://web.mit.edu/torralba/www/indoor.html",
    checked=HANDLERS,
)
