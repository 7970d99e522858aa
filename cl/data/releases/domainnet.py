"""DomainNet-Real: photographs of 345 classes, the domain "real" of DomainNet in its cleaned version.

The authors' lists of training and test images; the archive has images that they do not name.

Differs from NEVIS'22's code: the stream calls the task DomainNet-Real, but its code trains on the five domains other
than sketch, chooses with their test images, and tests on sketch.
"""

from __future__ import annotations

from cl.data.official.domainnet import FOLDERS, in_splits, listed, unlisted
from cl.data.official.files import Files
from cl.data.official.listing import Listing
from cl.data.official.release import MINIATURE, OfficialFile, Release

_SITE = "http://csr.bu.edu/ftp/visda/2019/multi-source/"
_FILES = (
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
)


def _read(files: Files) -> Listing:
    return listed(files, "real")


RELEASE = Release(
    name="domainnet",
    title="DomainNet-Real",
    files=_FILES,
    also=in_splits(_FILES),
    folders=FOLDERS[1:],
    part=unlisted,
    read=_read,
    classes=345,
    images=172_947,
    licence="fair use; non-commercial research",
    citation="Peng et al., Moment Matching for Multi-Source Domain Adaptation, ICCV 2019",
    page="http://ai.bu.edu/M3SDA/",
    checked=MINIATURE,
)
