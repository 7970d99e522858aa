"""German Traffic Sign Recognition Benchmark (GTSRB): 43 road signs, with the training and test images of the final.

The authors number the classes; the names are those of the signs. torchvision's GTSRB has the training images of the
first stage instead, 26,640 of the 39,209, so that its folder is not read.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.data.official.tables import listed, rows
from cl.errors import DataError

_SITE = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/"

CLASSES = listed(
    """speed limit 20, speed limit 30, speed limit 50, speed limit 60, speed limit 70, speed limit 80, end of speed
    limit 80, speed limit 100, speed limit 120, no overtaking, no overtaking by lorries, priority at the next
    junction, priority road, give way, stop, no vehicles, no lorries, no entry, danger, bend to the left, bend to
    the right, double bend, uneven road, slippery road, road narrows on the right, road works, traffic signals,
    pedestrians, children, cyclists, ice or snow, wild animals, end of all restrictions, turn right ahead, turn left
    ahead, ahead only, ahead or right, ahead or left, keep right, keep left, roundabout, end of no overtaking, end
    of no overtaking by lorries"""
)
"""The signs in the authors' order."""


def _read(files: Files) -> Listing:
    """Training images by their folders, whole tracks of 30 each; test images by the table that came after the final."""
    train = [
        (name, _sign(files, name, found[1]))
        for name, found in files.match(r"GTSRB/Final_Training/Images/(\d{5})/[^/]+\.ppm")
    ]
    table = "GT-final_test.csv"
    test = [
        (f"GTSRB/Final_Test/Images/{name}", _sign(files, table, number))
        for name, number in rows(files, table, ("Filename", "ClassId"), ";")
    ]
    return by_class(files, {"train": train, "test": test}, CLASSES)


def _sign(files: Files, name: str, number: str) -> str:
    if not number.isdecimal() or int(number) >= len(CLASSES):
        raise DataError(f"{name} of {files.where} has a class {number!r}, not 0 to {len(CLASSES) - 1}; get it again.")
    return CLASSES[int(number)]


RELEASE = Release(
    name="german_tsr",
    title="German Traffic Sign Recognition Benchmark",
    files=(
        OfficialFile(
            "GTSRB_Final_Training_Images.zip",
            (f"{_SITE}GTSRB_Final_Training_Images.zip",),
            md5="f33fd80ac59bff73c82d25ab499e03a3",
            holds=("GTSRB/Final_Training/Images",),
        ),
        OfficialFile(
            "GTSRB_Final_Test_Images.zip",
            (f"{_SITE}GTSRB_Final_Test_Images.zip",),
            md5="c7e4e6327067d32654124b0fe9e82185",
            holds=("GTSRB/Final_Test/Images",),
        ),
        OfficialFile(
            "GTSRB_Final_Test_GT.zip",
            (f"{_SITE}GTSRB_Final_Test_GT.zip",),
            md5="fe31e9c9270bbcd7b84b7f21a9d9d9e5",
            holds=("GT-final_test.csv",),
        ),
    ),
    read=_read,
    classes=43,
    images=51_839,
    licence="none stated; research",
    citation="Stallkamp et al., The German Traffic Sign Recognition Benchmark, IJCNN 2011",
    page="https://benchmark.ini.rub.de/gtsrb_dataset.html",
    checked=HANDLERS,
    folders=("gtsrb",),
)
