"""Belgium Traffic Signs, classification: 62 kinds of road signs, with training and test images.

The names of the classes are codes of the Belgian law, such as B5 for stop.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.errors import DataError

_SITE = "https://btsd.ethz.ch/shareddata/"
_NAMES, _CLASSES = "reducedSetTS.txt", 62


def _read(files: Files) -> Listing:
    """Folder 00000 has the class in the second line of the list of names; its first line is a title."""
    names = files.lines(_NAMES)[1:]
    if len(set(names)) != _CLASSES:
        raise DataError(f"{_NAMES} of {files.where} has {len(set(names))} names, expected {_CLASSES}; get it again.")
    rows: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}
    for split, folder in (("train", "Training"), ("test", "Testing")):
        for name, found in files.match(rf"{folder}/(\d{{5}})/[^/]+\.ppm"):
            if int(found[1]) >= _CLASSES:
                raise DataError(f"{name} of {files.where} has a class above {_CLASSES - 1}; get the dataset again.")
            rows[split].append((name, names[int(found[1])]))
    return by_class(files, rows, names)


RELEASE = Release(
    name="belgium_tsc",
    title="Belgium Traffic Sign Classification",
    files=(
        OfficialFile(
            "BelgiumTSC_Training.zip",
            (
                f"{_SITE}BelgiumTSC/BelgiumTSC_Training.zip",
                "http://www.vision.ee.ethz.ch/~timofter/BelgiumTSC/BelgiumTSC_Training.zip",
            ),
            md5="c727ca9d00e3964ca676286a1808ccee",
            holds=("Training", "Training/00061"),
        ),
        OfficialFile(
            "BelgiumTSC_Testing.zip",
            (
                f"{_SITE}BelgiumTSC/BelgiumTSC_Testing.zip",
                "http://www.vision.ee.ethz.ch/~timofter/BelgiumTSC/BelgiumTSC_Testing.zip",
            ),
            md5="d208de4566388791c0028da8d6a545cc",
            holds=("Testing", "Testing/00061"),
        ),
        OfficialFile(_NAMES, (f"{_SITE}BelgiumTS/{_NAMES}",), md5="e6052a024e24060e5cec84fbda34fb5e"),
    ),
    read=_read,
    classes=62,
    images=0,
    licence="none stated; research",
    citation="Timofte, Zimmermann, Van Gool, Multi-view Traffic Sign Detection and 3D Localisation, MVA 2014",
    page=_SITE,
    checked=HANDLERS,
)
