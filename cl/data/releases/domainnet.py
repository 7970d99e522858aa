"""DomainNet-Real: photographs of 345 classes, the domain "real" of DomainNet in its cleaned version.

The authors' lists of training and test images; the archive has images that they do not name.

Differs from NEVIS'22's code: the stream calls the task DomainNet-Real, but its code trains on the five domains other
than sketch, chooses with their test images, and tests on sketch.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import MINIATURE, OfficialFile, Release
from cl.errors import DataError

_SITE = "http://csr.bu.edu/ftp/visda/2019/multi-source/"


def _read(files: Files) -> Listing:
    """A line of a list has the path of an image, real/CLASS/NAME.jpg, and the number of its class."""
    numbers: dict[str, int] = {}
    rows: dict[str, list[tuple[str, str]]] = {}
    for split in ("train", "test"):
        rows[split] = []
        for line in files.lines(f"real_{split}.txt"):
            path, _, number = line.rpartition(" ")
            parts = path.split("/")
            if len(parts) != 3 or not number.isdecimal() or numbers.setdefault(parts[1], int(number)) != int(number):
                raise DataError(f"real_{split}.txt of {files.where} has an odd line {line[:100]!r}; get it again.")
            rows[split].append((path, parts[1]))
    return by_class(files, rows, sorted(numbers, key=numbers.__getitem__))


RELEASE = Release(
    name="domainnet",
    title="DomainNet-Real",
    files=(
        OfficialFile(
            *("real.zip", (f"{_SITE}real.zip",), 6_062_039_589),
            sha256="d7fe010b430c5b510f85d657d38c4a1924822695fabea4fef57bd00dba251d63",
            holds=("real",),
        ),
        OfficialFile(
            *("real_train.txt", (f"{_SITE}domainnet/txt/real_train.txt",), 4_440_944),
            sha256="19d483256d24aef19e581b65eda8333fd918aef3eb733fe499ff384120e3a289",
        ),
        OfficialFile(
            *("real_test.txt", (f"{_SITE}domainnet/txt/real_test.txt",), 1_911_327),
            sha256="2b3f75bcde309aeb5931292084b2162e936b5f189e3bb1ad716f0f74c460864c",
        ),
    ),
    read=_read,
    classes=345,
    images=172_947,
    licence="fair use; non-commercial research",
    citation="Peng et al., Moment Matching for Multi-Source Domain Adaptation, ICCV 2019",
    page="http://ai.bu.edu/M3SDA/",
    checked=MINIATURE,
)
