"""Avalanche's classic benchmarks, such as `avalanche/split-fmnist`."""

from __future__ import annotations

import hashlib
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cl.data import reads
from cl.data.catalog import DATASETS
from cl.data.official.release import find
from cl.data.releases import release
from cl.data.sources import TORCHVISION, announce, candidates, is_offline, missing
from cl.data.store import Dataset, ImageStore, Progress
from cl.errors import ContractError, DataError, UsageError, did_you_mean
from cl.files import make_folder, replace_file
from cl.paths import home, writable_cache
from cl.settings.class_incremental import ClassIncremental, check_options, class_incremental, with_defaults

if TYPE_CHECKING:
    from cl.stream import Stream


@dataclass(frozen=True)
class Classic:
    """One of Avalanche's benchmarks: its data in torchvision's layout, and its metadata."""

    title: str
    reader: str  # the class of torchvision.datasets that Avalanche uses
    files: tuple[str, ...]
    n_classes: int
    tasks: int
    licence: str
    citation: str
    release: str  # its name in `cl.data.releases`
    subfolders: tuple[str, ...] = ()
    catalogued: str = ""  # its name in `cl.data.catalog`, which has fingerprints and class names


def _idx(folder: str) -> tuple[str, ...]:
    return tuple(
        f"{folder}/raw/{split}-{what}-ubyte" for split in ("train", "t10k") for what in ("images-idx3", "labels-idx1")
    )


CLASSICS = {
    "split-mnist": Classic(
        "MNIST", "MNIST", _idx("MNIST"), 10, 5, "CC BY-SA 3.0",
        "LeCun, Bottou, Bengio, Haffner, Gradient-based learning applied to document recognition, Proc. IEEE, 1998",
        "mnist", ("images", "mnist"),
    ),
    "split-fmnist": Classic(
        "Fashion-MNIST", "FashionMNIST", _idx("FashionMNIST"), 10, 5, "MIT",
        "Xiao, Rasul, Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms, "
        "arXiv 1708.07747, 2017",
        "fashion_mnist", ("images", "fashionmnist"),
    ),
    "split-cifar10": Classic(
        "CIFAR-10", "CIFAR10", ("cifar-10-batches-py",), 10, 5, "", "", "cifar10", ("images", "cifar10"),
        "cifar10",
    ),
    "split-cifar100": Classic(
        "CIFAR-100", "CIFAR100", ("cifar-100-python",), 100, 10, "", "", "cifar100", ("images", "cifar100"),
        "cifar100",
    ),
}  # fmt: skip

DOMAINS = ("permuted-mnist", "rotated-mnist", "core50", "clear", "openloris", "stream51", "endless-cl-sim")
"""Avalanche's benchmarks in which the same classes return in other domains."""


class Avalanche(ClassIncremental):
    """Avalanche's class-incremental classics: split-mnist, split-fmnist, split-cifar10, split-cifar100.

    The data is in torchvision's layout, in a folder of CLBENCH_DATA_PATH or the cache; otherwise torchvision downloads
    it. The experiences are checked against Avalanche's; class order, positions and fingerprints are ours. By default 5
    tasks, or 10 for CIFAR-100; change this with `tasks` or `increment`.
    """

    def prepared(self, options: Any, argument: str) -> Any:
        """The options for one benchmark; also raises `UsageError` for a benchmark that cannot be converted."""
        classic = _classic(argument)
        options = with_defaults(options, classic.n_classes, tasks=classic.tasks)
        check_options(options, classic.n_classes)
        return options

    def build(
        self, options: Any, *, order_seed: int, data_seed: int, argument: str = "", progress: Progress | None = None
    ) -> Stream:
        """As `ClassIncremental.build`; raises `ContractError` if Avalanche's experiences differ from ours."""
        options, classic = self.prepared(options, argument), _classic(argument)
        train, test = _read(classic)
        stream = class_incremental(
            _dataset(classic, train, test), options, name=f"avalanche/{argument}", version=self.version,
            order_seed=order_seed, data_seed=data_seed,
        )  # fmt: skip
        _check_experiences(stream, train, test)
        return stream


def _classic(name: str) -> Classic:
    if name in CLASSICS:
        return CLASSICS[name]
    known = ", ".join(CLASSICS)
    if name in DOMAINS:
        raise UsageError(
            f"avalanche/{name} shows the same classes in changing domains, which clbench's streams cannot hold yet; "
            f"choose one of {known}."
        )
    raise UsageError(f"There is no stream avalanche/{name}; choose one of {known}.{did_you_mean(name, list(CLASSICS))}")


def _read(classic: Classic) -> tuple[Any, Any]:
    """torchvision's training and test set, found or downloaded."""
    found = next(candidates(classic.files, (TORCHVISION, *classic.subfolders)), None) or _unpacked(classic)
    if found is not None:
        reads.note(*found)
        root = Path(str(found[0])[: -len(classic.files[0])])
    elif is_offline():
        raise missing(classic.title, [f"{classic.files[0]} and the like, as torchvision lays them out"])
    else:
        declared = DATASETS.get(classic.catalogued, classic)
        announce(f"{classic.title} by torchvision", declared.licence, declared.citation)
        root = home() / "data" / TORCHVISION
        make_folder(root)
    from torchvision import datasets

    reader = getattr(datasets, classic.reader)
    try:
        with redirect_stdout(sys.stderr):
            train, test = (reader(str(root), train=part, download=found is None) for part in (True, False))
    except Exception as error:  # torchvision raises many types for damaged files and server errors
        what = "cannot be read; replace it" if found else "could not be downloaded; check the network"
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{classic.title} in {root} {what} and run again ({reason}).") from error
    return train, test


def _unpacked(classic: Classic) -> tuple[Path, ...] | None:
    """The files in torchvision's layout, unpacked into the cache from another form of the official files; None without
    one. A part of a dataset is not used."""
    copy = find(release(classic.release))
    if copy is None:
        return None
    reads.note(*copy.paths)
    files, digest = copy.open(), hashlib.sha256(str(copy.folder).encode())
    names = {name: name.split("/raw/")[-1] for name in classic.files}
    if classic.release.startswith("cifar"):
        names = {name: name for name in files.names if name.startswith(f"{classic.files[0]}/")}
    for name in names.values():
        digest.update(f"\n{name} {files.stamp(name)}".encode())
    root = writable_cache() / "unpacked" / f"{classic.reader}-{digest.hexdigest()[:16]}"
    for name, there in names.items():
        content = files.read(there)
        if not (root / name).is_file() or (root / name).stat().st_size != len(content):
            make_folder((root / name).parent)
            replace_file(root / name, partial(_write, content), durable=False)
    return tuple(root / name for name in classic.files)


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def _dataset(classic: Classic, train: Any, test: Any) -> Dataset:
    stores = {
        split: ImageStore.from_arrays(np.asarray(part.data), np.asarray(part.targets))
        for split, part in (("train", train), ("test", test))
    }
    declared = DATASETS.get(classic.catalogued)
    expected = declared.fingerprints if declared is not None else {}
    for split, fingerprint in expected.items():
        if stores[split].fingerprint != fingerprint:
            raise DataError(
                f"{train.root} does not hold the {split} images of {classic.title}: their fingerprint is "
                f"{stores[split].fingerprint}, expected {fingerprint}; delete it and run again."
            )
    return Dataset(
        name=classic.title,
        train=stores["train"],
        test=stores["test"],
        class_names=declared.class_names if declared is not None else tuple(train.classes),
        origin=f"{train.root} (torchvision's layout)",
        licence=declared.licence if declared is not None else classic.licence,
        citation=declared.citation if declared is not None else classic.citation,
        verified=set(expected) == {"train", "test"},
    )


def _check_experiences(stream: Stream, train: Any, test: Any) -> None:
    """Let Avalanche split the same data in the same class order; raises `ContractError` if the result differs."""
    from cl.avalanche import lib

    with lib.quiet():
        benchmark = lib.nc_benchmark(
            train,
            test,
            n_experiences=len(stream.experiences),
            task_labels=False,
            shuffle=False,
            fixed_class_order=stream.class_order.tolist(),
            per_exp_classes=dict(enumerate(stream.info.classes_per_task)),
            class_ids_from_zero_from_first_exp=True,
        )
    for split, part, theirs in (("train", train, benchmark.train_stream), ("test", test, benchmark.test_stream)):
        sizes = np.bincount(np.asarray(part.targets))[stream.class_order]  # images per position
        for ours, experience in zip(stream.experiences, theirs, strict=True):
            classes, size = sorted(experience.classes_in_this_experience), len(experience.dataset)
            if classes != sorted(ours.classes) or size != sizes[list(ours.classes)].sum():
                raise ContractError(
                    f"Avalanche's {split} experience {experience.current_experience} of {stream.name} has {size} "
                    f"images of classes {classes}, ours {list(ours.classes)}; this version of avalanche-lib does not "
                    "fit, install 0.6.0."
                )
