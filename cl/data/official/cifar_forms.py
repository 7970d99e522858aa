"""The binary and MATLAB archives of CIFAR, which hold the same images in the same order as the Python archive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cl.data.official.files import Files, Folder, open_source
from cl.data.official.listing import Examples, Listing, arrays
from cl.data.official.matlab import texts, variable
from cl.data.readers import CifarLayout, Content
from cl.data.store import ImageStore
from cl.errors import DataError, counted

_PIXELS = 3 * 32 * 32
_Batch = Callable[[str], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class BinaryLayout:
    """Names in a binary archive; `labels` bytes come before the pixels of an image, the last of them its class."""

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str
    labels: int


def binary(files: Files, layout: BinaryLayout) -> Listing:
    """Training and test images of a binary archive. Raises `DataError` for a file that is damaged or another one."""
    names = files.lines(f"{layout.folder}/{layout.names}")
    size = layout.labels + _PIXELS

    def batch(path: str) -> tuple[np.ndarray, np.ndarray]:
        data = np.frombuffer(files.read(path), np.uint8)
        if not len(data) or len(data) % size:
            raise DataError(f"{path} of {files.where} has no whole number of images of {size:,} bytes; get it again.")
        rows = data.reshape(-1, size)
        return rows[:, layout.labels :], rows[:, layout.labels - 1]

    return _listing(files, layout.folder, names, {"train": layout.train, "test": layout.test}, batch)


def matlab(files: Files, layout: CifarLayout) -> Listing:
    """Training and test images of a MATLAB archive; raises as `binary`."""
    names = texts(files, f"{layout.folder}/{layout.meta}", layout.names)

    def batch(path: str) -> tuple[np.ndarray, np.ndarray]:
        data = variable(files, path, "data")
        pixels, labels = data.reshape(-1, data.shape[-1]), variable(files, path, layout.labels)
        if pixels.dtype != np.uint8 or pixels.shape[1] != _PIXELS or labels.dtype.kind not in "iuf":
            raise DataError(f"{path} of {files.where} is another CIFAR batch; get it again.")
        if len(pixels) != labels.size:
            has = f"{counted(len(pixels), 'image')} and {counted(labels.size, 'label')}"
            raise DataError(f"{path} of {files.where} has {has}; get it again.")
        return pixels, labels.reshape(-1)

    return _listing(files, layout.folder, names, {"train": layout.train, "test": layout.test}, batch)


def read_listing(read: Callable[[Files], Listing], path: Path) -> Content:
    """The images of an archive or an unpacked folder, by the `read` of a release; raises as that."""
    source = Folder(path.parent, (path.name,)) if path.is_dir() else open_source(path)
    listing = read(Files([source], str(path.parent if path.is_dir() else path)))
    splits = {
        split: ImageStore.from_arrays(np.stack([each.decode(index) for index in range(len(each))]), each.labels)
        for split, each in listing.splits.items()
    }
    return Content(splits, listing.class_names, {})


def _listing(
    files: Files, folder: str, names: Sequence[str], splits: dict[str, tuple[str, ...]], batch: _Batch
) -> Listing:
    """`batch` gives the rows [N, 3072] and labels [N] of a file."""
    found: dict[str, Examples] = {}
    for split, members in splits.items():
        pixels, labels = [], []
        for member in members:
            path = f"{folder}/{member}"
            rows, known = batch(path)
            if known.max(initial=0) >= len(names) or known.min(initial=0) < 0:
                raise DataError(f"{path} of {files.where} has a label above {len(names) - 1} or below 0; get it again.")
            pixels.append(rows)
            labels.append(known.astype(np.int64))
        images = np.concatenate(pixels).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        found[split] = arrays(images, np.concatenate(labels))
    return Listing(tuple(names), found)
