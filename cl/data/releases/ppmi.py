"""People Playing Musical Instruments (PPMI): people who play one of 12 instruments, or are with it and do not play.

The images are the normalised ones, cut out around the people, with the authors' training and test sets.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release


def _read(files: Files) -> Listing:
    """norm_image/play_instrument/INSTRUMENT/train/NAME.jpg; also with_instrument, and test."""
    rows: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}
    pattern = r"(?:.*/)?(play|with)_instrument/([^/]+)/(train|test)/[^/]+\.(?i:jpe?g|png)"
    for name, found in files.match(pattern):
        rows[found[3]].append((name, f"{found[1]} {found[2]}"))
    return by_class(files, rows)


RELEASE = Release(
    name="ppmi",
    title="People Playing Musical Instruments",
    files=(
        OfficialFile(
            "norm_ppmi_12class.zip",
            ("http://vision.stanford.edu/Datasets/norm_ppmi_12class.zip",),
            md5="88118d8c6b50d72f0bb37a89269185ab",
            holds=("norm_image/play_instrument", "norm_image/with_instrument"),
        ),
    ),
    read=_read,
    classes=24,
    images=0,
    licence="none stated; research",
    citation="Yao, Fei-Fei, Grouplet: A Structured Image Representation, CVPR 2010",
    page="https://ai.stanford.edu/~bangpeng/ppmi.html",
    checked=HANDLERS,
)
