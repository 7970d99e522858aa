"""ImageNet-A: natural photos of 200 classes of ImageNet that its networks mistake.

There is no official split. Ports deal the images to folders train/ and test/; these are read as one set again.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing
from cl.data.official.release import MINIATURE, OfficialFile, Release
from cl.data.official.wordnet import numbered


def _read(files: Files) -> Listing:
    return numbered(files, "imagenet-a")


RELEASE = Release(
    name="imagenet_a",
    title="ImageNet-A",
    files=(
        OfficialFile(
            "imagenet-a.tar",
            ("https://people.eecs.berkeley.edu/~hendrycks/imagenet-a.tar",),
            md5="c3e55429088dc681f30d81f4726b6595",
            holds=("imagenet-a",),
        ),
    ),
    also=((OfficialFile("imagenet-a.zip", holds=("imagenet-a",)),),),
    read=_read,
    classes=200,
    images=7_500,
    licence="MIT for the authors' repository; the images belong to their owners",
    citation="Hendrycks, Zhao, Basart, Steinhardt, Song, Natural Adversarial Examples, CVPR 2021",
    page="https://github.com/hendrycks/natural-adv-examples",
    checked=MINIATURE,
)
