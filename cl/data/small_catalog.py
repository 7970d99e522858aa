"""MNIST, Fashion-MNIST and Omniglot: official files, the layouts of torchvision and Debian, and packs of a part."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from cl.data.idx import read_idx_files
from cl.data.known import KnownDataset, Part, Source
from cl.data.omniglot import read_omniglot
from cl.data.readers import Content, read_packs
from cl.data.sources import TORCHVISION, RemoteFile
from cl.data.store import Progress

NEVER = "never run by us on the whole of the real files"
_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_DOTTED = tuple(name.replace("-idx", ".idx") for name in _FILES)
"""The names that some copies have, such as Kaggle's."""
_SIZES = ((60_000, 10_000), (9_912_422, 28_881, 1_648_877, 4_542), (26_421_880, 29_515, 4_422_102, 5_148))


def _four(names: tuple[str, ...], paths: tuple[Path, ...], progress: Progress | None) -> Content:
    return read_idx_files(paths, names)


def _packs(paths: tuple[Path, ...], progress: Progress | None) -> Content:
    return read_packs(paths, progress)


def _digits(
    name: str, title: str, folders: tuple[str, ...], classes: tuple[str, ...], mirrors: tuple[str, ...],
    md5: tuple[str, ...], sizes: tuple[int, ...], licence: str, citation: str, part: Part,
    fingerprints: dict[str, str] | None = None, checked: str = "",
) -> KnownDataset:  # fmt: skip
    """A dataset in MNIST's four files, and a pack of a part of it."""
    read = partial(_four, classes)
    forms = [tuple(f"{folder}/{file}{end}" for file in _FILES) for folder in folders for end in ("", ".gz")]
    forms += [tuple(f"{folder}/{file}" for file in _DOTTED) for folder in folders if not folder.startswith("/")]
    first, *more = (
        RemoteFile(f"{name}-{file}.gz", tuple(f"{mirror}{file}.gz" for mirror in mirrors), None, size, digest)
        for file, digest, size in zip(_FILES, md5, sizes, strict=True)
    )
    return KnownDataset(
        name=name,
        title=title,
        sizes=_SIZES[0],
        class_names=classes,
        sources=(*(Source(names, read) for names in forms), Source((f"{name.replace('-', '_')}.npz",), _packs)),
        archive=first,
        more=tuple(more),
        read_archive=read,
        licence=licence,
        citation=citation,
        subfolders=("images", TORCHVISION),
        fingerprints=fingerprints or {},
        checked=checked,
        part=part,
    )


MNIST = _digits(
    "mnist", "MNIST", ("MNIST/raw", "mnist"), tuple("0123456789"),
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
    ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432",
     "9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c"),
    _SIZES[1], "CC BY-SA 3.0",
    "LeCun, Bottou, Bengio, Haffner, Gradient-based learning applied to document recognition, Proc. IEEE, 1998",
    Part(
        (10_000, 2_000),
        {
            "train": "f2cd314f9da6d9a14dbcd6f8e853e38704dea48608e03c179e320ddc19f84ae1",
            "test": "48b2a323dfcdb674eece703690fcb734e8918c8a8539f0cc84218592ba90123b",
        },
    ),
    checked=NEVER,
)  # fmt: skip

FASHION_MNIST = _digits(
    "fashion-mnist", "Fashion-MNIST",
    (
        *("FashionMNIST/raw", "fashion-mnist", "fashion_mnist"),
        *("/usr/share/datasets/fashion-mnist", "/usr/share/dataset-fashion-mnist"),
    ),
    ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
     "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310"),
    _SIZES[2], "MIT",
    "Xiao, Rasul, Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms, "
    "arXiv 1708.07747, 2017",
    Part(
        (6_000, 2_000),
        {
            "train": "a17ec5ee17fd2c04b097cba906fa7dfd2d1ed96d28a1b18c37aab5ec6d2ceae8",
            "test": "bf65d58da51590aadd9d3f826100ef8f532c1f113c00387e95fc481d8e95df4c",
        },
    ),
    fingerprints={
        "train": "4e62b764c37a73d82dcc2ef112dcd32d6d14c493605d17a36b35cf90829da9af",
        "test": "b2621fb697d7d972aa2d9099ca83505f8ff5979dbbc46e161842502fc5b075f0",
    },
)  # fmt: skip

_OMNIGLOT = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"

OMNIGLOT = KnownDataset(
    name="omniglot",
    title="Omniglot",
    sizes=(24_345, 8_115),
    class_names=(),
    classes=1_623,
    names_in_files=True,
    sources=(
        Source(("images_background", "images_evaluation"), read_omniglot),
        Source(("omniglot10.npz",), _packs),
    ),
    archive=RemoteFile(
        "images_background.zip", (f"{_OMNIGLOT}images_background.zip",), None, 9_464_212,
        "68d2efa1b9178cc56df9314c21c6e718",
    ),
    more=(
        RemoteFile(
            "images_evaluation.zip", (f"{_OMNIGLOT}images_evaluation.zip",), None, 6_462_886,
            "6b91aef0f799c5bb55b94e3f2daec811",
        ),
    ),
    read_archive=read_omniglot,
    licence="MIT",
    citation="Lake, Salakhutdinov, Tenenbaum, Human-level concept learning through probabilistic program induction, "
    "Science, 2015",
    subfolders=("images", "omniglot", "omniglot-py", f"{TORCHVISION}/omniglot-py"),
    checked=NEVER,
    part=Part(
        (3_630, 1_210),
        {
            "train": "1c2d9fca01f0d0fdef9b5dfecbe62f7d7f576681024aed1a34932ac204367c30",
            "test": "7c55e870d6f9792effa7845b2a9540f4c8df1a786ae851caa6aa3b2443fdd084",
        },
        242,
    ),
)  # fmt: skip

SMALL = (MNIST, FASHION_MNIST, OMNIGLOT)
