"""AnimalWeb: faces of animals, 352 species and breeds by the names of the files.

Differs from NEVIS'22's code: it leaves out an image that equals an earlier one of its class; here all are kept.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_FOLDER = "animal_dataset_v1_clean_check"


def _read(files: Files) -> Listing:
    """SPECIES_NUMBER.jpg, next to its landmarks in SPECIES_NUMBER.pts."""
    images = files.match(rf"{_FOLDER}/([^/_]+)_[^/]*\.jpg")
    return by_class(files, {"all": [(name, found[1]) for name, found in images]})


RELEASE = Release(
    name="animal_web",
    title="AnimalWeb",
    files=(OfficialFile("animal_dataset_v1_c.rar", md5="d2d7e0a584ee4bd9badc74a9f2ef3b82", holds=(_FOLDER,)),),
    read=_read,
    classes=352,
    images=0,
    licence="none stated; research",
    citation="Khan et al., AnimalWeb: A Large-Scale Hierarchical Dataset of Annotated Animal Faces, CVPR 2020",
    page="https://fdmaproject.wordpress.com/author/fdmaproject/",
    checked=HANDLERS,
    access="get animal_dataset_v1_c.rar from https://fdmaproject.wordpress.com/author/fdmaproject/ and unpack it with "
    "bsdtar, unrar or 7-Zip",
)
