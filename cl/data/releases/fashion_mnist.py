"""Fashion-MNIST: clothes of ten kinds, grey, 28 x 28 pixels, in the files of MNIST."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.idx import idx_files
from cl.data.official.listing import Listing
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release

_CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_MIRROR = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"


def _read(files: Files) -> Listing:
    return idx_files(
        files,
        {
            "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
            "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
        },
        _CLASSES,
    )


def _file(name: str, size: int, md5: str) -> OfficialFile:
    return OfficialFile(f"{name}.gz", (f"{_MIRROR}{name}.gz",), size, md5, holds=(name,))


RELEASE = Release(
    name="fashion_mnist",
    title="Fashion-MNIST",
    files=(
        _file("train-images-idx3-ubyte", 26_421_880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        _file("train-labels-idx1-ubyte", 29_515, "25c81989df183df01b3e8a0aad5dffbe"),
        _file("t10k-images-idx3-ubyte", 4_422_102, "bef4ecab320f06d8554ea6380940ec79"),
        _file("t10k-labels-idx1-ubyte", 5_148, "bb300cfdad3c16e7a12a480ee83cd310"),
    ),
    read=_read,
    classes=10,
    images=70_000,
    licence="MIT",
    citation="Xiao, Rasul, Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning "
    "Algorithms, arXiv 1708.07747, 2017",
    page="https://github.com/zalandoresearch/fashion-mnist",
    checked=TORCHVISIONS,
    own_folder=True,
    folders=("FashionMNIST/raw", "fashion-mnist"),
)
