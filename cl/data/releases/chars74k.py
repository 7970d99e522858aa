"""Chars74K, English: the characters 0-9, A-Z and a-z, cut out of photos, drawn by hand, and printed in computer fonts.

Characters from photos are read in good and in bad quality, without the masks. The authors publish several splits
(Lists.tgz); NEVIS'22 draws its own from all images, so the images are returned without a split.

Differs from NEVIS'22's code: images that equal another one of their class are kept; there they are left out.
"""

from __future__ import annotations

import string

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.lists import as_published
from cl.data.official.release import HANDLERS, OfficialFile, Release

_SITE = "http://www.ee.surrey.ac.uk/CVSSP/demos/chars74k/"
_IMAGES = r"English/(?:Img/(?:GoodImg|BadImag)/Bmp|Hnd/Img|Fnt)/Sample(\d{3})/[^/]+\.png"


def _read(files: Files) -> Listing:
    """Folders are numbered from 1 in the order of the characters."""
    characters = string.digits + string.ascii_uppercase + string.ascii_lowercase
    with as_published(files, "English"):
        rows = [(name, characters[int(found[1]) - 1]) for name, found in files.match(_IMAGES)]
    return by_class(files, {"all": rows}, characters)


RELEASE = Release(
    name="chars74k",
    title="Chars74K",
    files=(
        OfficialFile(
            "EnglishImg.tgz",
            (f"{_SITE}EnglishImg.tgz",),
            md5="85d157e0c58f998e1cda8def62bcda0d",
            holds=("English/Img",),
        ),
        OfficialFile(
            "EnglishHnd.tgz",
            (f"{_SITE}EnglishHnd.tgz",),
            md5="95e9ee6d929809ef4c2f509f86388c72",
            holds=("English/Hnd",),
        ),
        OfficialFile(
            "EnglishFnt.tgz",
            (f"{_SITE}EnglishFnt.tgz",),
            md5="f6710b1302a7e9693d904b16389d9d8a",
            holds=("English/Fnt",),
        ),
    ),
    read=_read,
    classes=62,
    images=0,
    licence="none stated; research",
    citation="de Campos, Babu, Varma, Character Recognition in Natural Images, VISAPP 2009",
    page="https://teodecampos.github.io/chars74k/",
    checked=HANDLERS,
)
