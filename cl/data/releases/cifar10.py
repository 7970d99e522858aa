"""CIFAR-10: 60,000 photos of 32 px, ten kinds of animals and vehicles."""

from __future__ import annotations

from cl.data.official.cifar import batches
from cl.data.official.cifar_forms import BinaryLayout, binary, matlab
from cl.data.official.files import Files
from cl.data.official.listing import Listing
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release
from cl.data.readers import CifarLayout

LAYOUT = CifarLayout(
    folder="cifar-10-batches-py",
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test=("test_batch",),
    meta="batches.meta",
    labels="labels",
    names="label_names",
)


BINARY = BinaryLayout(
    folder="cifar-10-batches-bin",
    train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    test=("test_batch.bin",),
    names="batches.meta.txt",
    labels=1,
)
MATLAB = CifarLayout(
    folder="cifar-10-batches-mat",
    train=tuple(f"data_batch_{number}.mat" for number in range(1, 6)),
    test=("test_batch.mat",),
    meta="batches.meta.mat",
    labels="labels",
    names="label_names",
)


def _read(files: Files) -> Listing:
    if f"{BINARY.folder}/{BINARY.names}" in files:
        return binary(files, BINARY)
    if f"{MATLAB.folder}/{MATLAB.meta}" in files:
        return matlab(files, MATLAB)
    return batches(files, LAYOUT)


RELEASE = Release(
    name="cifar10",
    title="CIFAR-10",
    files=(
        OfficialFile(
            "cifar-10-python.tar.gz",
            ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
            size=170_498_071,
            md5="c58f30108f718f92721af3b95e74349a",
            sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            holds=tuple(f"{LAYOUT.folder}/{name}" for name in (*LAYOUT.train, *LAYOUT.test, LAYOUT.meta)),
        ),
    ),
    also=(
        (
            OfficialFile(
                "cifar-10-binary.tar.gz",
                ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
                md5="c32a1d4ab5d03f1284b67883e8d87530",
                holds=tuple(f"{BINARY.folder}/{name}" for name in (*BINARY.train, *BINARY.test, BINARY.names)),
            ),
        ),
        (
            OfficialFile(
                "cifar-10-matlab.tar.gz",
                ("https://www.cs.toronto.edu/~kriz/cifar-10-matlab.tar.gz",),
                md5="70270af85842c9e89bb428ec9976c926",
                holds=tuple(f"{MATLAB.folder}/{name}" for name in (*MATLAB.train, *MATLAB.test, MATLAB.meta)),
            ),
        ),
    ),
    read=_read,
    classes=10,
    images=60_000,
    licence="none stated; free for research with citation of the technical report",
    citation="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, University of Toronto, 2009",
    page="https://www.cs.toronto.edu/~kriz/cifar.html",
    checked=TORCHVISIONS,
)
