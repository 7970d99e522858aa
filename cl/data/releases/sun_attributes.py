"""SUN Attribute Database: scenes with 102 attributes each, such as "swimming", "grass" or "natural light".

Three people judged each attribute of an image; one who saw it is enough, as in NEVIS'22. There is no official split.
"""

from __future__ import annotations

import numpy as np

from cl.data.official.files import Files
from cl.data.official.listing import Listing, many_classes
from cl.data.official.matlab import texts, variable
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.errors import DataError

_SITE = "https://cs.brown.edu/~gmpatter/Attributes/"
_FOLDER = "SUNAttributeDB"


def _read(files: Files) -> Listing:
    """Lists in MATLAB files: names of attributes, paths of images, and for both the share of votes, 0 to 1."""
    names = texts(files, f"{_FOLDER}/attributes.mat", "attributes")
    paths = texts(files, f"{_FOLDER}/images.mat", "images")
    votes = variable(files, f"{_FOLDER}/attributeLabels_continuous.mat", "labels_cv")
    if votes.shape != (len(paths), len(names)):
        raise DataError(
            f"attributeLabels_continuous.mat of {files.where} is for {' x '.join(map(str, votes.shape))} images and "
            f"attributes, expected {len(paths)} x {len(names)}; get all files again."
        )
    rows = [
        (f"images/{path}", [names[place] for place in np.flatnonzero(row)])
        for path, row in zip(paths, votes, strict=True)
    ]
    return many_classes(files, {"all": rows}, names)


RELEASE = Release(
    name="sun_attributes",
    title="SUN Attribute Database",
    files=(
        OfficialFile(
            "SUNAttributeDB_Images.tar.gz",
            (f"{_SITE}SUNAttributeDB_Images.tar.gz",),
            md5="5966725c7306df6e05cd3ada7f45a18b",
            holds=("images",),
        ),
        OfficialFile(
            "SUNAttributeDB.tar.gz",
            (f"{_SITE}SUNAttributeDB.tar.gz",),
            md5="883293e5b645822f6ae0046c6df54183",
            holds=(_FOLDER,),
        ),
    ),
    read=_read,
    classes=102,
    images=14_340,
    licence="none stated; research",
    citation="Patterson, Xu, Su, Hays, The SUN Attribute Database: Beyond Categories for Deeper Scene Understanding, "
    "IJCV 108, 2014",
    page="https://cs.brown.edu/~gmpatter/sunattributes.html",
    checked=HANDLERS,
    multi_label=True,
)
