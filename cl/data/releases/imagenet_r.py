"""ImageNet-R: renditions of 200 classes of ImageNet: art, cartoons, sketches, toys and more.

There is no official split. Ports deal the images to folders train/ and test/; these are read as one set again.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing
from cl.data.official.release import MINIATURE, OfficialFile, Release
from cl.data.official.wordnet import numbered


def _read(files: Files) -> Listing:
    return numbered(files, "imagenet-r")


RELEASE = Release(
    name="imagenet_r",
    title="ImageNet-R",
    files=(
        OfficialFile(
            "imagenet-r.tar",
            ("https://people.eecs.berkeley.edu/~hendrycks/imagenet-r.tar",),
            md5="a61312130a589d0ca1a8fca1f2bd3337",
            holds=("imagenet-r",),
        ),
    ),
    also=((OfficialFile("imagenet-r.zip", holds=("imagenet-r",)),),),
    read=_read,
    classes=200,
    images=30_000,
    licence="MIT for the authors' repository; the images belong to their owners",
    citation="Hendrycks et al., The Many Faces of Robustness: A Critical Analysis of Out-of-Distribution "
    "Generalization, ICCV 2021",
    page="https://github.com/hendrycks/imagenet-r",
    checked=MINIATURE,
)
