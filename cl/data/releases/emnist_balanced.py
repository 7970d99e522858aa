"""EMNIST, balanced: handwritten digits and letters, 28 px, in 47 classes; 15 small letters share the class of the
capital.

Rows and columns are exchanged in the files, and stay so, as in NEVIS'22 and torchvision.
"""

from __future__ import annotations

import string

import numpy as np

from cl.data.official.files import Files
from cl.data.official.idx import values
from cl.data.official.listing import Listing, arrays
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release
from cl.errors import DataError

CHARACTERS = string.digits + string.ascii_uppercase + "abdefghnqrt"
_SPLITS = {
    split: (f"emnist-balanced-{split}-images-idx3-ubyte", f"emnist-balanced-{split}-labels-idx1-ubyte")
    for split in ("train", "test")
}
_NAMES = tuple(name for names in _SPLITS.values() for name in names)


def _read(files: Files) -> Listing:
    splits = {}
    for split, (images, labels) in _SPLITS.items():
        pixels, numbers = _values(files, images, 3), _values(files, labels, 1).astype(np.int64)
        if len(pixels) != len(numbers) or not len(numbers) or numbers.max() >= len(CHARACTERS):
            raise DataError(f"{labels} of {files.where} does not fit {images}; get both again.")
        splits[split] = arrays(pixels, numbers)
    return Listing(tuple(CHARACTERS), splits)


def _values(files: Files, name: str, dimensions: int) -> np.ndarray:
    """The authors' archive has the files compressed in a folder; torchvision leaves them unpacked without it."""
    return values(files, name if name in files else f"gzip/{name}.gz", dimensions)


RELEASE = Release(
    name="emnist_balanced",
    title="EMNIST Balanced",
    files=(
        OfficialFile(
            "gzip.zip",
            (
                "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
                "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/gzip.zip",
            ),
            size=561_753_746,
            md5="58c8d27c78d21e728a6bc7b3cc06412e",
            sha256="fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
            holds=tuple(f"gzip/{name}.gz" for name in _NAMES),
        ),
    ),
    also=(tuple(OfficialFile(name) for name in _NAMES),),
    folders=("emnist", "EMNIST", "EMNIST/raw"),
    read=_read,
    classes=47,
    images=131_600,
    licence="none stated; derived from NIST Special Database 19",
    citation="Cohen, Afshar, Tapson, van Schaik, EMNIST: an extension of MNIST to handwritten letters, IJCNN 2017",
    page="https://www.nist.gov/itl/products-and-services/emnist-dataset",
    checked=TORCHVISIONS,
)
