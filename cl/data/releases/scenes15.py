"""15 Scenes: grey photographs of 15 kinds of places, eight of them from the 8 Scene Dataset."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_SITE = "www-cvr.ai.uiuc.edu/ponce_grp/data"
_SCENES = tuple(
    """CALsuburb MITcoast MITforest MIThighway MITinsidecity MITmountain MITopencountry MITstreet MITtallbuilding
    PARoffice bedroom industrial kitchen livingroom store""".split()  # noqa: SIM905
)


def _read(files: Files) -> Listing:
    found = files.match(rf"({'|'.join(_SCENES)})/[^/]+\.jpg")
    return by_class(files, {"all": [(name, each[1]) for name, each in found]})


RELEASE = Release(
    name="scenes15",
    title="15 Scenes",
    files=(
        OfficialFile(
            "scene_categories.zip",
            (
                f"https://web.archive.org/web/20070829035029/http://{_SITE}/scene_categories/scene_categories.zip",
                f"http://{_SITE}/scene_categories/scene_categories.zip",
            ),
            md5="58828019197b2ad0a7efb472e7a85c2a",
            holds=_SCENES,
        ),
    ),
    read=_read,
    classes=15,
    images=4_485,
    licence="none stated; research",
    citation="Lazebnik, Schmid, Ponce, Beyond Bags of Features, CVPR 2006",
    page=f"https://web.archive.org/web/20070829035029/http://{_SITE}/index.html",
    checked=HANDLERS,
    folders=("scene_categories",),
)
