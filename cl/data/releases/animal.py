"""ANIMAL: silhouettes of 20 kinds of animals, 100 of each, in two archives of ten kinds."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_SITE = "http://xiang.bai.googlepages.com/"


def _read(files: Files) -> Listing:
    images = files.match(r"non_rigid_shape_[AB]/([^/]+)/[^/]+\.(?i:tiff?|bmp|png|gif|jpe?g)")
    return by_class(files, {"all": [(name, found[1]) for name, found in images]})


RELEASE = Release(
    name="animal",
    title="ANIMAL",
    files=(
        OfficialFile(
            "non_rigid_shape_A.zip",
            (f"{_SITE}non_rigid_shape_A.zip",),
            md5="d88d44dc6d2382de3a5857d86fb5d430",
            holds=("non_rigid_shape_A",),
        ),
        OfficialFile(
            "non_rigid_shape_B.zip",
            (f"{_SITE}non_rigid_shape_B.zip",),
            md5="dae4a05b9797a3109078d1553173b9a8",
            holds=("non_rigid_shape_B",),
        ),
    ),
    read=_read,
    classes=20,
    images=2_000,
    licence="none stated; research",
    citation="Bai, Liu, Tu, Integrating Contour and Skeleton for Shape Classification, ICCV Workshops 2009",
    page="https://sites.google.com/site/xiangbai/animaldataset",
    checked=HANDLERS,
)
