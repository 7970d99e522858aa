"""CMU AMP face expressions: 13 people, 75 grey photographs of each, 64 x 64; the person is the class.

The authors publish no split. NEVIS'22 draws for each person 42 images that train, 9 that choose (dev), 9 of dev-test
and 15 of test.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_SITE = "http://chenlab.ece.cornell.edu"
_PEOPLE = "ABCDEFGHIJKLM"
_EACH = 75


def _read(files: Files) -> Listing:
    """PERSONNUMBER.bmp, with people from A and numbers from 00."""
    found = files.match(rf"([{_PEOPLE}])\d\d\.bmp")
    return by_class(files, {"all": [(name, each[1]) for name, each in found]})


RELEASE = Release(
    name="cmu_amp_expression",
    title="CMU AMP face expressions",
    files=(
        OfficialFile(
            "faceExpressionDatabase.zip",
            (f"{_SITE}/_download/FaceAuthentication/faceExpressionDatabase.zip",),
            md5="f6c2fdf87c095c17e2527c36a0528966",
            holds=tuple(f"{person}{number:02}.bmp" for person in _PEOPLE for number in range(_EACH)),
        ),
    ),
    read=_read,
    classes=len(_PEOPLE),
    images=_EACH * len(_PEOPLE),
    licence="none stated; research",
    citation="Liu, Chen, Kumar, Face Authentication for Multiple Subjects Using Eigenflow, Pattern Recognition, 2003",
    page=f"{_SITE}/projects/FaceAuthentication/Default.html",
    checked=HANDLERS,
    folders=("faceExpressionDatabase",),
)
