"""TID2013: 25 images, each distorted in 24 ways and 5 strengths; five classes of quality.

Classes are fifths of the values of MSSIM that the authors give, as in NEVIS'22, and not of the opinions of people
(mos.txt). There is no official split: parts drawn by image have the same scenes.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.data.official.tid import by_quality


def _read(files: Files) -> Listing:
    return by_quality(files, distortions=24, levels=5)


RELEASE = Release(
    name="tid2013",
    title="TID2013",
    files=(
        OfficialFile(
            "tid2013.rar",
            ("https://ponomarenko.info/tid2013/tid2013.rar",),
            md5="2c42bec2407adc49cf4d7858daf8f99b",
            holds=("distorted_images", "metrics_values"),
        ),
    ),
    read=_read,
    classes=5,
    images=3_000,
    licence="none stated; research",
    citation="Ponomarenko et al., Image Database TID2013: Peculiarities, Results and Perspectives, Signal Processing: "
    "Image Communication 30, 2015",
    page="https://ponomarenko.info/tid2013.htm",
    checked=HANDLERS,
    own_folder=True,
    access="download https://ponomarenko.info/tid2013/tid2013.rar and unpack it with bsdtar, unrar or 7-Zip",
)
