"""TID2008: 25 images, each distorted in 17 ways and 4 strengths; five classes of quality.

Classes are fifths of the values of MSSIM that the authors give, as in NEVIS'22, and not of the opinions of people
(mos.txt). There is no official split: parts drawn by image have the same scenes.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.data.official.tid import by_quality


def _read(files: Files) -> Listing:
    return by_quality(files, distortions=17, levels=4)


RELEASE = Release(
    name="tid2008",
    title="TID2008",
    files=(
        OfficialFile(
            "tid2008.rar",
            ("https://ponomarenko.info/tid/tid2008.rar",),
            md5="732aeec405a57b589aeee4f1c58a4c1b",
            holds=("distorted_images", "metrics_values"),
        ),
    ),
    read=_read,
    classes=5,
    images=1_700,
    licence="none stated; research",
    citation="Ponomarenko et al., TID2008 - A Database for Evaluation of Full-Reference Visual Quality Assessment "
    "Metrics, Advances of Modern Radioelectronics 10, 2009",
    page="https://ponomarenko.info/tid2008.htm",
    checked=HANDLERS,
    own_folder=True,
    access="download https://ponomarenko.info/tid/tid2008.rar and unpack it with bsdtar, unrar or 7-Zip",
)
