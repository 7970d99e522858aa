"""CIFAR-100: 60,000 photos of 32 px in 100 classes; the 20 superclasses are not used."""

from __future__ import annotations

from cl.data.official.cifar import batches
from cl.data.official.cifar_forms import BinaryLayout, binary, matlab
from cl.data.official.files import Files
from cl.data.official.listing import Listing
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release
from cl.data.readers import CifarLayout

LAYOUT = CifarLayout(
    folder="cifar-100-python",
    train=("train",),
    test=("test",),
    meta="meta",
    labels="fine_labels",
    names="fine_label_names",
)


BINARY = BinaryLayout(
    folder="cifar-100-binary", train=("train.bin",), test=("test.bin",), names="fine_label_names.txt", labels=2
)
"""The byte of the superclass comes first."""
MATLAB = CifarLayout(
    folder="cifar-100-matlab",
    train=("train.mat",),
    test=("test.mat",),
    meta="meta.mat",
    labels="fine_labels",
    names="fine_label_names",
)


def _read(files: Files) -> Listing:
    if f"{BINARY.folder}/{BINARY.names}" in files:
        return binary(files, BINARY)
    if f"{MATLAB.folder}/{MATLAB.meta}" in files:
        return matlab(files, MATLAB)
    return batches(files, LAYOUT)


RELEASE = Release(
    name="cifar100",
    title="CIFAR-100",
    files=(
        OfficialFile(
            "cifar-100-python.tar.gz",
            ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",),
            size=169_001_437,
            md5="eb9058c3a382ffc7106e4002c42a8d85",
            sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
            holds=tuple(f"{LAYOUT.folder}/{name}" for name in (*LAYOUT.train, *LAYOUT.test, LAYOUT.meta)),
        ),
    ),
    also=(
        (
            OfficialFile(
                "cifar-100-binary.tar.gz",
                ("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",),
                md5="03b5dce01913d631647c71ecec9e9cb8",
                holds=tuple(f"{BINARY.folder}/{name}" for name in (*BINARY.train, *BINARY.test, BINARY.names)),
            ),
        ),
        (
            OfficialFile(
                "cifar-100-matlab.tar.gz",
                ("https://www.cs.toronto.edu/~kriz/cifar-100-matlab.tar.gz",),
                md5="6a4bfa1dcd5c9453dda6bb54194911f4",
                holds=tuple(f"{MATLAB.folder}/{name}" for name in (*MATLAB.train, *MATLAB.test, MATLAB.meta)),
            ),
        ),
    ),
    read=_read,
    classes=100,
    images=60_000,
    licence="none stated; free for research with citation of the technical report",
    citation="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, University of Toronto, 2009",
    page="https://www.cs.toronto.edu/~kriz/cifar.html",
    checked=TORCHVISIONS,
)
