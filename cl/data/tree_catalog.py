"""Trees of images for standard streams: folder names, archives, licences and citations.

Sizes and checksums are from the datasets' pages and from at least two public loaders. clbench has not been tested on
these files themselves; every entry says so (`checked`).
"""

from __future__ import annotations

from pathlib import Path

from cl.data.known import KnownDataset, Source
from cl.data.readers import Content
from cl.data.sources import RemoteFile
from cl.data.store import Progress
from cl.errors import UsageError

NEVER = "never run by us on the real files; tested on a small tree of the same layout"
_HENDRYCKS = "https://people.eecs.berkeley.edu/~hendrycks"


def _not_alone(paths: tuple[Path, ...], progress: Progress | None) -> Content:
    raise UsageError(f"{paths[0]} is a tree of images, which its stream splits and reads; use clbench run --stream.")


def _tree(
    name: str, title: str, images: int, classes: int, folders: tuple[str, ...], archive: RemoteFile,
    licence: str, citation: str, others: tuple[tuple[str, ...], ...], subfolders: tuple[str, ...],
) -> KnownDataset:  # fmt: skip
    """`others` are names of other archives, such as those of ports; `subfolders` further folders to search."""
    return KnownDataset(
        name=name,
        title=title,
        sizes=(images, 0),
        class_names=(),
        sources=tuple(Source(names, _not_alone) for names in (*((folder,) for folder in folders), *others)),
        archive=archive,
        read_archive=_not_alone,
        licence=licence,
        citation=citation,
        classes=classes,
        checked=NEVER,
        subfolders=("images", *subfolders),
    )


TREES = (
    _tree(
        "imagenet-r", "ImageNet-R", 30_000, 200, ("imagenet-r", "imagenet_r", "ImageNet-R"),
        RemoteFile(
            "imagenet-r.tar", (f"{_HENDRYCKS}/imagenet-r.tar",),
            md5="a61312130a589d0ca1a8fca1f2bd3337",
        ),
        "MIT for the authors' repository; the images belong to their owners",
        "Hendrycks et al., The Many Faces of Robustness: A Critical Analysis of Out-of-Distribution Generalization, "
        "ICCV 2021",
        (("imagenet-r.zip",),), ("imagenet_r",),
    ),
    _tree(
        "imagenet-a", "ImageNet-A", 7_500, 200, ("imagenet-a", "imagenet_a", "ImageNet-A"),
        RemoteFile("imagenet-a.tar", (f"{_HENDRYCKS}/imagenet-a.tar",), md5="c3e55429088dc681f30d81f4726b6595"),
        "MIT for the authors' repository; the images belong to their owners",
        "Hendrycks, Zhao, Basart, Steinhardt, Song, Natural Adversarial Examples, CVPR 2021",
        (("imagenet-a.zip",),), ("imagenet_a",),
    ),
    _tree(
        "cub-200", "CUB-200-2011", 11_788, 200, ("CUB_200_2011", "cub-200", "cub", "cub200"),
        RemoteFile(
            "CUB_200_2011.tgz", ("https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",),
            md5="97eceeb196236b17998738112f37df78",
        ),
        "non-commercial research and education; the images belong to their owners",
        "Wah, Branson, Welinder, Perona, Belongie, The Caltech-UCSD Birds-200-2011 Dataset, CNS-TR-2011-001, 2011",
        (("cub.zip",), ("CUB_200_2011.zip",)), ("caltech_birds2011",),
    ),
    _tree(
        "tiny-imagenet", "Tiny-ImageNet", 110_000, 200, ("tiny-imagenet-200", "tiny-imagenet"),
        RemoteFile(
            "tiny-imagenet-200.zip", ("http://cs231n.stanford.edu/tiny-imagenet-200.zip",),
            md5="90528d7ca1a48142e341f4ef8d21d0de",
        ),
        "as ImageNet: non-commercial research and education",
        "Le, Yang, Tiny ImageNet Visual Recognition Challenge, CS 231N, 2015",
        (), ("tiny_imagenet",),
    ),
    _tree(
        "stanford-cars", "Stanford Cars", 16_185, 196, ("stanford_cars", "stanford-cars"),
        RemoteFile("stanford_cars.tgz", ()),  # the authors' site no longer has it
        "non-commercial research",
        "Krause, Stark, Deng, Fei-Fei, 3D Object Representations for Fine-Grained Categorization, 3dRR 2013",
        (
            ("car_ims.tgz", "cars_annos.mat"), ("car_ims", "cars_annos.mat"),
            ("cars_train.tgz", "cars_test.tgz", "car_devkit.tgz", "cars_test_annos_withlabels.mat"),
            ("cars_train", "cars_test", "devkit", "cars_test_annos_withlabels.mat"),
        ),
        ("stanford_cars", "stanford-cars"),
    ),
)  # fmt: skip
