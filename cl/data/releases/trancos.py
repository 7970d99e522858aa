"""TRANCOS: traffic jams, with the number of vehicles as ten classes of counts.

Each image has a text with one line per vehicle. As in NEVIS'22, the counts of all images, test images too, are divided
into ten classes with about the same number of images (`cl.data.official.counting`), so the edges depend on the data.
The authors' training, validation and test images.
"""

from __future__ import annotations

from cl.data.official.counting import equal_bins
from cl.data.official.files import Files
from cl.data.official.listing import Listing, image_files
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.errors import DataError

_ROOT = "TRANCOS_v3"
_URL = (
    "https://universidaddealcala-my.sharepoint.com/:u:/g/personal/gram_uah_es/"
    "Eank6osXQgxEqa-1bb0nVsoBc3xO4XDwENc_g0nc6t58BA?&Download=1"
)
_SETS = {"train": "training", "val": "validation", "test": "test"}


def _read(files: Files) -> Listing:
    texts = [name for name, _ in files.match(rf"{_ROOT}/images/[^/]+\.txt")]
    counts = {name.removesuffix("txt") + "jpg": len(files.read(name).splitlines()) for name in texts}
    bins = equal_bins(list(counts.values()), 10, files.where)
    splits = {}
    for split, kind in _SETS.items():
        names = [f"{_ROOT}/images/{line}" for line in files.lines(f"{_ROOT}/image_sets/{kind}.txt")]
        if missing := [name for name in names if name not in counts]:
            raise DataError(f"{files.where} does not tell the vehicles of {missing[0]}; get the whole dataset again.")
        splits[split] = image_files(files, names, bins.labels([counts[name] for name in names]))
    return Listing(bins.names, splits)


RELEASE = Release(
    name="trancos",
    title="TRANCOS",
    files=(OfficialFile("TRANCOS_v3.tar.gz", (_URL,), md5="e9b4d5a62ab1fe5f542ec8326f2d4fda", holds=(_ROOT,)),),
    read=_read,
    classes=10,
    images=1_244,
    licence="non-commercial research",
    citation="Guerrero-Gomez-Olmedo et al., Extremely Overlapping Vehicle Counting, IbPRIA 2015",
    page="https://gram.web.uah.es/data/datasets/trancos/index.html",
    checked=HANDLERS,
)
