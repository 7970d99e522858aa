"""UIUC cars: grey side views of cars and other pictures, 100 x 40; the training images of a database for detection.

PASCAL's copy has PNG files, the authors' own (CarData) PGM files. The authors publish no split for classification.

Differs from NEVIS'22's code: it counts the images of TestImages, which show cars, as images without a car. Only
TrainImages is read here, as in the paper that the task comes from (BMVC 2006, number 81) and as its docstring says.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import MINIATURE, OfficialFile, Release

_SITE = "http://host.robots.ox.ac.uk/pascal/VOC"
_CLASSES = {"neg": "no car", "pos": "car"}


def _read(files: Files) -> Listing:
    found = files.match(r"(?:.*/)?TrainImages/(pos|neg)-\d+\.(?:png|pgm)")
    return by_class(files, {"all": [(name, _CLASSES[each[1]]) for name, each in found]}, tuple(_CLASSES.values()))


RELEASE = Release(
    name="uiuc_cars",
    title="UIUC cars",
    files=(
        OfficialFile(
            "uiuc.tar.gz",
            (f"{_SITE}/download/uiuc.tar.gz",),
            md5="716c6078f57839bb440967fa74116da3",
            holds=("UIUC/PNGImages",),
        ),
    ),
    also=((OfficialFile("CarData.tar.gz", holds=("CarData/TrainImages",)),),),
    read=_read,
    classes=2,
    images=1_050,
    licence="none stated; research",
    citation="Agarwal, Roth, Learning a Sparse Representation for Object Detection, ECCV 2002",
    page=f"{_SITE}/databases.html",
    checked=MINIATURE,
)
