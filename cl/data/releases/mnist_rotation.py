"""MNIST-rot as NEVIS'22 has it: MNIST, with training images turned by random angles, and test images that are not.

Training image i is turned by the i-th whole number of degrees that NumPy draws with the seed of NEVIS'22. The dataset
of Larochelle et al. (2007), which is also called MNIST-rot, has other images and is not read.

Differs from NEVIS'22's code: there every part of the training images draws angles of its own, so the angle of an image
depends on the order in which the parts are read; here it is that of the part which is read first.
"""

from __future__ import annotations

import numpy as np

from cl.data.official.files import Files
from cl.data.official.idx import idx_files
from cl.data.official.listing import Examples, Listing
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.data.store import PixelArray

_MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/")
_SEED = 99_999


def _read(files: Files) -> Listing:
    listing = idx_files(
        files,
        {
            "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
            "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
        },
        tuple("0123456789"),
    )
    return Listing(listing.class_names, {**listing.splits, "train": _turned(listing.splits["train"])})


def _turned(examples: Examples) -> Examples:
    """Images turned about their middle, in cubic interpolation; what comes from outside is black."""
    angles = np.random.RandomState(_SEED).randint(0, high=360, size=len(examples))

    def decode(index: int) -> PixelArray:
        from scipy import ndimage

        turned = ndimage.rotate(examples.decode(index)[..., 0], int(angles[index]), reshape=False)
        return np.asarray(turned, np.uint8)[..., None]

    return Examples(examples.labels, decode, examples.identity)


def _file(name: str, size: int, md5: str) -> OfficialFile:
    return OfficialFile(f"{name}.gz", tuple(f"{mirror}{name}.gz" for mirror in _MIRRORS), size, md5, holds=(name,))


RELEASE = Release(
    name="mnist_rotation",
    title="MNIST-rot",
    files=(
        _file("train-images-idx3-ubyte", 9_912_422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        _file("train-labels-idx1-ubyte", 28_881, "d53e105ee54ea40749a09fcbcd1e9432"),
        _file("t10k-images-idx3-ubyte", 1_648_877, "9fb629c4189551a2d022fa330f9573f3"),
        _file("t10k-labels-idx1-ubyte", 4_542, "ec29112dd5afa0611ce80d1b7f02629c"),
    ),
    read=_read,
    classes=10,
    images=70_000,
    licence="CC BY-SA 3.0",
    citation="LeCun, Bottou, Bengio, Haffner, Gradient-based learning applied to document recognition, Proc. IEEE "
    "86, 1998",
    page="http://yann.lecun.com/exdb/mnist/",
    checked=HANDLERS,
    own_folder=True,
    folders=("MNIST/raw", "mnist"),
)
