"""LFW-a: the faces of Labeled Faces in the Wild, aligned and grey; the 423 people with at least five images.

The authors publish pairs for verification. NEVIS'22 makes a task of persons of it, with fixed parts, which are kept
here: a person's last two images are tested, the one before them is for validation.

Differs from NEVIS'22's code: images are in the order of their numbers, there in that of an archive of unknown origin
(lfwa.zip, also read); grey images stay grey.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing
from cl.data.official.people import people
from cl.data.official.release import HANDLERS, OfficialFile, Release


def _read(files: Files) -> Listing:
    return people(files, r"(?:.*/)?([^/]+)/\1_(\d{4})\.jpg")


RELEASE = Release(
    name="lfwa",
    title="LFW-a",
    files=(
        OfficialFile("lfwa.tar.gz", ("http://www.openu.ac.il/home/hassner/data/lfwa/lfwa.tar.gz",), holds=("lfw2",)),
    ),
    also=((OfficialFile("lfwa.zip", md5="96313a4780499f939bc4a06d5bebaf7d"),),),
    read=_read,
    classes=423,
    images=5_985,
    licence="none stated; research",
    citation="Wolf, Hassner, Taigman, Effective Face Recognition by Combining Multiple Descriptors and Learned "
    "Background Statistics, TPAMI 33, 2011",
    page="https://talhassner.github.io/home/projects/lfwa/index.html",
    checked=HANDLERS,
    folders=("lfw2",),
)
