"""SVHN, cropped digits: house numbers from street photos, 32 px.

The 531,131 easier images of extra_32x32.mat are not read. The files give the digit 0 the label 10.
"""

from __future__ import annotations

import numpy as np

from cl.data.official.files import Files
from cl.data.official.listing import Examples, Listing, arrays
from cl.data.official.matlab import numbers, variable
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release
from cl.errors import DataError

_SITE = "http://ufldl.stanford.edu/housenumbers/"


def _read(files: Files) -> Listing:
    return Listing(tuple("0123456789"), {split: _digits(files, f"{split}_32x32.mat") for split in ("train", "test")})


def _digits(files: Files, name: str) -> Examples:
    """The pixels are [H, W, C, N] in the file."""
    pixels = variable(files, name, "X")
    found = np.array(numbers(files, name, "y"), np.int64) % 10
    if pixels.ndim != 4 or pixels.dtype != np.uint8 or pixels.shape[3] != len(found):
        raise DataError(f"{name} of {files.where} does not have one label per image; get it again.")
    return arrays(np.moveaxis(pixels, 3, 0), found)


RELEASE = Release(
    name="svhn_cropped",
    title="SVHN",
    files=(
        OfficialFile(
            "train_32x32.mat",
            (f"{_SITE}train_32x32.mat",),
            size=182_040_794,
            md5="e26dedcc434d2e4c54c9b2d4a06d8373",
            sha256="435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
        ),
        OfficialFile(
            "test_32x32.mat",
            (f"{_SITE}test_32x32.mat",),
            size=64_275_384,
            md5="eb5a983be6a315427106f1b164d9cef3",
            sha256="cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
        ),
    ),
    folders=("svhn", "SVHN"),
    read=_read,
    classes=10,
    images=99_289,
    licence="non-commercial use",
    citation="Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, NIPS Workshop 2011",
    page=_SITE,
    checked=TORCHVISIONS,
)
