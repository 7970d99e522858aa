"""CIFAR-100: 60,000 photos of 32 px in 100 classes; the 20 superclasses are not used."""

from __future__ import annotations

from cl.data.official.cifar import batches
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


def _read(files: Files) -> Listing:
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
    read=_read,
    classes=100,
    images=60_000,
    licence="none stated; free for research with citation of the technical report",
    citation="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, University of Toronto, 2009",
    page="https://www.cs.toronto.edu/~kriz/cifar.html",
    checked=TORCHVISIONS,
)
