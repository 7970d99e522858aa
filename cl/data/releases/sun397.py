"""SUN397: photos of 397 scenes; two scenes of one kind are separate classes, as church/indoor and church/outdoor.

The ten partitions of the authors use 100 images of each class; NEVIS'22 uses a split of all images that was drawn by
others, so the images are returned without a split.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.lists import as_published
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release


def _read(files: Files) -> Listing:
    """A line of the list is /LETTER/CLASS, the folder of the images."""
    with as_published(files, "SUN397/ClassName.txt"):
        classes = [line.split("/", 2)[2] for line in files.lines("SUN397/ClassName.txt")]
    images = files.match(r"SUN397/[a-z]/(.+)/sun_[^/]+\.jpg")
    return by_class(files, {"all": [(name, found[1]) for name, found in images]}, classes)


RELEASE = Release(
    name="sun397",
    title="SUN 397",
    files=(
        OfficialFile(
            "SUN397.tar.gz",
            (
                "http://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz",
                "https://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz",
            ),
            size=39_077_296_924,
            md5="8ca2778205c41d23104230ba66911c7a",
            sha256="f404130965a7ad77bed5ececc71e720ab50f3cc1e1bb257257610d38f3b928ec",
            holds=("SUN397",),
        ),
    ),
    read=_read,
    classes=397,
    images=108_754,
    licence="none stated; research",
    citation="Xiao, Hays, Ehinger, Oliva, Torralba, SUN Database: Large-scale Scene Recognition from Abbey to Zoo, "
    "CVPR 2010",
    page="https://vision.princeton.edu/projects/2010/SUN/",
    checked=TORCHVISIONS,
)
