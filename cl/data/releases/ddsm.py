"""CBIS-DDSM: mammograms with benign or malignant masses or calcifications, as JPEG on Kaggle.

Whole mammograms, not the crops and masks of abnormalities. The authors give training and test cases for calcifications
and for masses; the training images of both are one split here, and so are the test images. A mammogram with several
abnormalities has the class of the first in the tables, as in NEVIS'22.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.errors import DataError

_CLASSES = ("BENIGN", "MALIGNANT", "BENIGN_WITHOUT_CALLBACK")


def _read(files: Files) -> Listing:
    """dicom_info.csv has the image of each mammogram, whose name begins the path of an image in the tables of cases."""
    images: dict[str, list[str]] = {}
    for row in _table(files, "csv/dicom_info.csv", "PatientID", "image_path"):
        images.setdefault(row[0], []).append("/".join(["jpeg", *row[1].split("/")[-2:]]))
    rows: dict[str, dict[str, str]] = {"train": {}, "test": {}}
    for split, found in rows.items():
        for kind in ("calc", "mass"):
            name = f"csv/{kind}_case_description_{split}_set.csv"
            for path, pathology in _table(files, name, "image file path", "pathology"):
                for image in images.get(path.split("/")[0], ()):
                    found.setdefault(image, pathology)
    return by_class(files, {split: found.items() for split, found in rows.items()}, _CLASSES)


def _table(files: Files, name: str, *columns: str) -> Iterator[tuple[str, ...]]:
    """Some columns of each row of a table."""
    reader = csv.DictReader(io.StringIO(files.text(name), newline=""))
    if lacking := [column for column in columns if column not in (reader.fieldnames or ())]:
        raise DataError(f"{name} of {files.where} has no column {lacking[0]!r}; get it again.")
    for row in reader:
        yield tuple(row[column] or "" for column in columns)


RELEASE = Release(
    name="ddsm",
    title="CBIS-DDSM",
    files=(
        OfficialFile(
            "cbis-ddsm-breast-cancer-image-dataset.zip", md5="eba16e95a30193fcbda1d2668d96015f", holds=("csv", "jpeg")
        ),
    ),
    read=_read,
    classes=3,
    images=0,
    licence="CC BY 3.0",
    citation="Lee et al., A curated mammography data set for use in computer-aided detection and diagnosis research, "
    "Scientific Data 4, 2017",
    page="https://www.kaggle.com/awsaf49/cbis-ddsm-breast-cancer-image-dataset",
    checked=HANDLERS,
    access="download https://www.kaggle.com/awsaf49/cbis-ddsm-breast-cancer-image-dataset (a Kaggle account is needed)",
    kaggle="awsaf49/cbis-ddsm-breast-cancer-image-dataset",
)
