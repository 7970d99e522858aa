"""MNIST-M: digits of MNIST blended into photos, 32 x 32 pixels.

The authors publish training and test images. NEVIS'22 draws parts of all of them instead, so they are one here.

Differs from NEVIS'22's code: it looks for labels by the name of a file without its folder, so the training images that
have the name of a test image get that image's label there. It also leaves out repeated images.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import MINIATURE, OfficialFile, Release
from cl.errors import DataError


def _read(files: Files) -> Listing:
    """mnist_m_train_labels.txt and mnist_m_test_labels.txt have lines such as "00000000.png 5"."""
    rows = []
    for split in ("train", "test"):
        for line in files.lines(f"mnist_m/mnist_m_{split}_labels.txt"):
            name, _, digit = line.partition(" ")
            if not digit.isdigit():
                raise DataError(f"mnist_m_{split}_labels.txt of {files.where} has the line {line!r}; get it again.")
            rows.append((f"mnist_m/mnist_m_{split}/{name}", digit))
    return by_class(files, {"all": rows}, tuple("0123456789"))


RELEASE = Release(
    name="mnist_m",
    title="MNIST-M",
    files=(
        OfficialFile(
            "mnist_m.tar.gz",
            md5="859df31c91afe82e80e5012ba928f279",
            holds=tuple(f"mnist_m/mnist_m_{part}" for part in ("train", "test", "train_labels.txt", "test_labels.txt")),
        ),
    ),
    read=_read,
    classes=10,
    images=68_002,
    licence="none stated; research",
    citation="Ganin, Lempitsky, Unsupervised Domain Adaptation by Backpropagation, ICML 2015",
    page="http://yaroslav.ganin.net/",
    checked=MINIATURE,
    access="follow the link to Google Drive at http://yaroslav.ganin.net/",
)
