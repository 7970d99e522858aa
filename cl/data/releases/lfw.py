"""Labeled Faces in the Wild, as classification: the 423 people with at least five images.

The authors publish pairs for verification. NEVIS'22 makes a task of persons of it, with fixed parts, which are kept
here: a person's last two images are tested, the one before them is for validation.

Differs from NEVIS'22's code: images are in the order of their numbers, there in that of the archive; the training
images include the one that NEVIS'22 chooses on ("dev").
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing
from cl.data.official.people import people
from cl.data.official.release import HANDLERS, OfficialFile, Release


def _read(files: Files) -> Listing:
    return people(files, r"lfw/([^/]+)/\1_(\d+)\.jpg")


RELEASE = Release(
    name="lfw",
    title="Labeled Faces in the Wild",
    files=(
        OfficialFile(
            "lfw.tgz",
            ("http://vis-www.cs.umass.edu/lfw/lfw.tgz", "https://ndownloader.figshare.com/files/5976018"),
            md5="a17d05bd522c52d84eca14327a23d494",
            holds=("lfw", "lfw/George_W_Bush"),
        ),
    ),
    read=_read,
    classes=423,
    images=5_985,
    licence="none stated; research",
    citation="Huang, Ramesh, Berg, Learned-Miller, Labeled Faces in the Wild, UMass Amherst 07-49, 2007",
    page="http://vis-www.cs.umass.edu/lfw/",
    checked=HANDLERS,
    folders=("lfw-py",),
)
