"""Which images the few-shot sessions of a paper have: the lists of TOPIC (Tao et al. 2020) for CIFAR-100.

The lists number the training images in the order of CIFAR-100's own archive. clbench sorts images, so it needs the
archive or its extracted folder beside the lists, whatever form of CIFAR-100 it otherwise reads. The lists state no
licence and are not part of clbench.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from cl.data import reads
from cl.data.catalog import CIFAR100_LAYOUT, declaration
from cl.data.readers import cifar_training_images
from cl.data.sources import candidates, check_sha256, fetch, is_offline, missing, searched
from cl.data.store import Dataset, ImageStore, IndexArray, Progress, canonical_order
from cl.errors import DataError, MissingData

BASE, INCREMENT, SHOTS = 60, 5, 5
"""Classes of the first task and of each other task, in CIFAR's own order; listed images per class of a later task."""

NAMES = tuple(f"session_{number}.txt" for number in range(2, 10))
"""Files with the images of the later tasks; those of the first are all images of its classes."""

FOLDERS = ("cifar100", "index_list/cifar100", "data/index_list/cifar100", "fscil/data/index_list/cifar100")

SHA256 = "0252b51539d37fffaea4c97bc31fbc992f21c63c198b86bcc457a11ec4c56e07"
"""Of all listed numbers as little-endian int64, in the order of the files."""


def topic_rows(dataset: Dataset, progress: Progress | None = None) -> dict[int, IndexArray]:
    """Rows of the training store of CIFAR-100 by label, for each class of TOPIC's later sessions, in the lists' order.

    Raises `MissingData` if the lists or the archive are not found, `DataError` if either is another one.
    """
    listed = _listed()
    copy = _archive(progress)
    pixels, labels = cifar_training_images(copy, CIFAR100_LAYOUT)
    if ImageStore.from_arrays(pixels, labels).fingerprint != dataset.train.fingerprint:
        raise DataError(f"{copy} does not hold the training images of {dataset.name}; replace it and run again.")
    order = canonical_order(np.ascontiguousarray(pixels), labels)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    found: dict[int, list[int]] = {}
    for session, numbers in enumerate(listed):
        first = BASE + session * INCREMENT
        for number in numbers:
            found.setdefault(int(labels[number]), []).append(int(place[number]))
        wanted = range(first, first + INCREMENT)
        if sorted(found)[session * INCREMENT :] != list(wanted) or {len(found[label]) for label in wanted} != {SHOTS}:
            raise DataError(
                f"{NAMES[session]} does not list {SHOTS} training images of each class from {first} to "
                f"{wanted[-1]} of {copy}; replace that copy of CIFAR-100 and run again."
            )
    return {label: np.array(rows, dtype=np.int64) for label, rows in found.items()}


def _listed() -> list[list[int]]:
    """The numbers of each file."""
    paths = next(candidates(NAMES, FOLDERS), None)
    if paths is None:
        raise MissingData(
            f"TOPIC's session lists for CIFAR-100 ({NAMES[0]} to {NAMES[-1]}) were not found in {searched()}, as "
            f"{FOLDERS[1]}; get data/index_list/cifar100 of github.com/xyutao/fscil and put it there (CLBENCH_DATA_PATH"
            " names such folders), or leave stream.lists out."
        )
    reads.note(*paths)
    numbers = [_numbers(path) for path in paths]
    flat = np.array([number for each in numbers for number in each], dtype="<i8")
    if hashlib.sha256(flat.tobytes()).hexdigest() != SHA256:
        raise DataError(
            f"{paths[0].parent} does not hold TOPIC's session lists for CIFAR-100 but other numbers; get "
            "data/index_list/cifar100 of github.com/xyutao/fscil again."
        )
    return numbers


def _numbers(path: Path) -> list[int]:
    try:
        return [int(word) for word in path.read_text(encoding="utf-8").split()]
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a list of whole numbers, one a line ({error}); replace it.") from error


def _archive(progress: Progress | None) -> Path:
    """CIFAR-100's extracted folder or archive, in which images have the numbers of the lists; it may be downloaded."""
    declared = declaration("cifar100")
    for name in (CIFAR100_LAYOUT.folder, declared.archive.name):
        for (path,) in candidates((name,), declared.subfolders):
            if path.is_file():
                check_sha256(path, declared.archive.sha256)
            reads.note(path)
            return path
    if is_offline():
        raise missing(
            "CIFAR-100's own archive, whose order TOPIC's lists refer to,",
            [declared.archive.name, CIFAR100_LAYOUT.folder],
        )
    return fetch(declared.archive, progress)
