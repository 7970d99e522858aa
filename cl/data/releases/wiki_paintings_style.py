"""WikiArt (refined), style: paintings in 27 styles, with lists of 57,025 training and 24,421 validation images.

The validation images are the test images, as in NEVIS'22. A painting that a list names and the copy lacks is left out,
since some copies of the archive have damaged members: delete them from the unpacked folder.

Differs from NEVIS'22's code: there the first line of each list is taken for a heading and its image is left out, and
images are resized to at most 256 pixels first.
"""

from __future__ import annotations

from collections.abc import Iterator

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.lists import as_published
from cl.data.official.release import HANDLERS, OfficialFile, Release

_SITE = "http://web.fsktm.um.edu.my/~cschan/source/ICIP2017/"
_LISTS = {"train": "style_train.csv", "test": "style_val.csv"}
STYLES = tuple(
    """Abstract_Expressionism Action_painting Analytical_Cubism Art_Nouveau Baroque Color_Field_Painting
    Contemporary_Realism Cubism Early_Renaissance Expressionism Fauvism High_Renaissance Impressionism
    Mannerism_Late_Renaissance Minimalism Naive_Art_Primitivism New_Realism Northern_Renaissance Pointillism Pop_Art
    Post_Impressionism Realism Rococo Romanticism Symbolism Synthetic_Cubism Ukiyo_e""".split()  # noqa: SIM905
)
"""The styles in the authors' numbering, which is from 0."""


def _read(files: Files) -> Listing:
    return by_class(files, {split: list(_paintings(files, name)) for split, name in _LISTS.items()}, STYLES)


def _paintings(files: Files, name: str) -> Iterator[tuple[str, str]]:
    """A line of a list is a path and the number of a style; some paths have letters beyond ASCII."""
    for line in files.lines(name):
        path, _, number = line.rpartition(",")
        with as_published(files, name):
            style = STYLES[int(number)]
        here = f"wikiart/{path}"
        if here not in files:  # a zip that does not say that its names are UTF-8
            here = here.encode().decode("cp437")
        if here in files:
            yield here, style


RELEASE = Release(
    name="wiki_paintings_style",
    title="Wikipaintings",
    files=(
        OfficialFile(
            "wikiart.zip", (f"{_SITE}wikiart.zip",), md5="c6b43cbcd474b875a5626ffde3b627e1", holds=("wikiart",)
        ),
        OfficialFile(
            "wikiart_csv.zip",
            (f"{_SITE}wikiart_csv.zip",),
            md5="0d221e7cb0812da6b59044cfca9aafee",
            holds=tuple(_LISTS.values()),
        ),
    ),
    read=_read,
    classes=27,
    images=81_446,
    licence="non-commercial research; the images belong to their owners",
    citation="Tan, Chan, Aguirre, Tanaka, Ceci n'est pas une pipe: A Deep Convolutional Network for Fine-art Paintings "
    "Classification, ICIP 2016",
    page="https://github.com/cs-chan/ArtGAN/tree/master/WikiArt%20Dataset",
    checked=HANDLERS,
)
