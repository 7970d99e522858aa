"""MNIST: handwritten digits in grey, 28 x 28."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.idx import idx_files
from cl.data.official.listing import Listing
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release

_SITES = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/")
_FILES = (
    ("train-images-idx3-ubyte", 9_912_422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
    ("train-labels-idx1-ubyte", 28_881, "d53e105ee54ea40749a09fcbcd1e9432"),
    ("t10k-images-idx3-ubyte", 1_648_877, "9fb629c4189551a2d022fa330f9573f3"),
    ("t10k-labels-idx1-ubyte", 4_542, "ec29112dd5afa0611ce80d1b7f02629c"),
)


def _read(files: Files) -> Listing:
    train, train_labels, test, test_labels = (name for name, _, _ in _FILES)
    return idx_files(files, {"train": (train, train_labels), "test": (test, test_labels)}, tuple("0123456789"))


RELEASE = Release(
    name="mnist",
    title="MNIST",
    files=tuple(
        OfficialFile(f"{name}.gz", tuple(f"{site}{name}.gz" for site in _SITES), size, md5, holds=(name,))
        for name, size, md5 in _FILES
    ),
    read=_read,
    classes=10,
    images=70_000,
    licence="CC BY-SA 3.0",
    citation=(
        "LeCun, Bottou, Bengio, Haffner, Gradient-based learning applied to document recognition, Proc. IEEE, 1998"
    ),
    page="http://yann.lecun.com/exdb/mnist/",
    checked=TORCHVISIONS,
    own_folder=True,
    folders=("MNIST/raw",),
)
