"""Office-Caltech-10: the ten classes that Office-31 and Caltech-256 share.

The images of Office-31 (amazon, dslr, webcam) are the training images and those of Caltech-256 the test images, as in
NEVIS'22. Classes have the names of Office-31. Also read: both selected in one archive (Office_Caltech_DA_Dataset).
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_CLASSES = {
    "back_pack": "backpack",
    "bike": "touring-bike",
    "calculator": "calculator",
    "headphones": "head-phones",
    "keyboard": "computer-keyboard",
    "laptop_computer": "laptop-101",
    "monitor": "computer-monitor",
    "mouse": "computer-mouse",
    "mug": "coffee-mug",
    "projector": "video-projector",
}
"""The classes by their names in Office-31, with those in Caltech-256."""
_OFFICE = r"(?:.*/)?(?:amazon|dslr|webcam)/(?:images/)?([^/]+)/[^/]+\.jpg"
_CALTECH = r"256_ObjectCategories/\d{3}\.([^/]+)/\d{3}_\d{4}\.jpg"
_SELECTED = r"(?:.*/)?[Cc]altech/([^/]+)/[^/]+\.jpg"


def _read(files: Files) -> Listing:
    office = {name: name for name in _CLASSES} | {"backpack": "back_pack"}  # as selected in one archive
    whole = any(name.startswith("256_ObjectCategories/") for name in files.names)
    caltech = {theirs: name for name, theirs in _CLASSES.items()} if whole else office
    train = [(path, office[found[1]]) for path, found in files.match(_OFFICE) if found[1] in office]
    test = files.match(_CALTECH if whole else _SELECTED)
    return by_class(
        files,
        {"train": train, "test": [(path, caltech[found[1]]) for path, found in test if found[1] in caltech]},
        tuple(_CLASSES),
    )


RELEASE = Release(
    name="office_caltech_10",
    title="Office-Caltech-10",
    files=(
        OfficialFile(
            "domain_adaptation_images.tar.gz",
            md5="1b536d114869a5a8aa4580b89e9758fb",
            holds=("amazon", "dslr", "webcam"),
        ),
        OfficialFile(
            "256_ObjectCategories.tar",
            ("https://data.caltech.edu/records/nyy15-4j048/files/256_ObjectCategories.tar",),
            md5="67b4f42ca05d46448c6bb8ecd2220f6d",
            holds=("256_ObjectCategories",),
        ),
    ),
    also=(
        (
            OfficialFile(
                "Office_Caltech_DA_Dataset-main.zip",
                ("https://github.com/ChristophRaab/Office_Caltech_DA_Dataset/archive/refs/heads/main.zip",),
                holds=("Office_Caltech_DA_Dataset-main",),
            ),
        ),
    ),
    read=_read,
    classes=10,
    images=2_533,
    licence="none stated; research",
    citation="Gong, Shi, Sha, Grauman, Geodesic Flow Kernel for Unsupervised Domain Adaptation, CVPR 2012",
    page="https://faculty.cc.gatech.edu/~judy/domainadapt/",
    checked=HANDLERS,
    access="download both archives from the links at https://faculty.cc.gatech.edu/~judy/domainadapt/ and "
    "https://data.caltech.edu/records/nyy15-4j048",
    folders=("office_caltech",),
)
