"""What a reader of official files finds: for each split the images, not yet decoded, and their labels."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cl.data.decoded import Decode
from cl.data.images import native, readable
from cl.data.official.files import Files
from cl.data.split import split_rows
from cl.data.store import IndexArray, PixelArray
from cl.errors import DataError, counted

if TYPE_CHECKING:
    from PIL import Image

Box = tuple[int, int, int, int]
"""Left, upper, right and lower edge of a part of an image in pixels, as Pillow counts them."""

SPLITS = ("all", "train", "val", "test")
"""All images of a dataset that has no split of its own; or its training, validation and test images."""


@dataclass(frozen=True, eq=False)
class Examples:
    """The images of one split.

    `labels` are int64 [N], or bool [N, C] where an image may have several classes. `decode(i)` gives image i as uint8
    [H, W, 1 or 3] in its own size and is called from several threads. `identity()` gives texts that change if the
    pixels do.
    """

    labels: IndexArray | NDArray[np.bool_]
    decode: Decode
    identity: Callable[[], Iterable[str]]

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, rows: IndexArray, labels: np.ndarray) -> Examples:
        """The images at `rows` with other labels."""
        whole = self.decode

        def identity() -> Iterable[str]:
            texts = list(self.identity())
            return (texts[row] for row in rows.tolist())

        return Examples(_checked(labels, len(rows)), lambda index: whole(int(rows[index])), identity)


@dataclass(frozen=True, eq=False)
class Listing:
    """The content of a dataset: names of classes by label, the images by split (see `SPLITS`), and notes for users."""

    class_names: tuple[str, ...]
    splits: Mapping[str, Examples]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if odd := [split for split in self.splits if split not in SPLITS]:
            raise ValueError(f"a split is one of {', '.join(SPLITS)}, not {odd[0]!r}")

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several classes."""
        return any(each.labels.ndim == 2 for each in self.splits.values())

    def __len__(self) -> int:
        return sum(map(len, self.splits.values()))

    def unseen(self) -> list[str]:
        """The names of the classes without an image in any split."""
        has = np.zeros(len(self.class_names), np.bool_)
        for each in self.splits.values():
            has |= each.labels.any(0) if each.labels.ndim == 2 else np.isin(np.arange(len(has)), each.labels)
        return [name for name, known in zip(self.class_names, has, strict=True) if not known]


def learnable(listing: Listing) -> Listing:
    """The listing without classes that have no training image, and without their other images; a note names them.

    Listings whose images may have several classes stay as they are: such a class has no positive image.
    """
    train = listing.splits.get("all") or listing.splits["train"]
    if listing.multi_label:
        return listing
    number = len(listing.class_names)
    has = np.bincount(train.labels, minlength=number) > 0
    if has.all():
        return listing
    new = np.cumsum(has) - 1
    splits, lost = {}, 0
    for split, examples in listing.splits.items():
        rows = np.flatnonzero(has[examples.labels])
        lost += len(examples) - len(rows)
        splits[split] = examples.subset(rows, new[examples.labels[rows]].astype(np.int64))
    names = ", ".join(name for name, known in zip(listing.class_names, has, strict=True) if not known)
    note = f"Left out: {counted(lost, 'image')} of classes without training images ({names})."
    kept = tuple(name for name, known in zip(listing.class_names, has, strict=True) if known)
    return Listing(kept, splits, (*listing.notes, note) if lost else listing.notes)


def by_name(listing: Listing) -> Listing:
    """The listing with its classes sorted by name, for images with one class each."""
    order = sorted(range(len(listing.class_names)), key=listing.class_names.__getitem__)
    new = np.argsort(np.array(order, np.int64)).astype(np.int64)
    splits = {
        split: examples.subset(np.arange(len(examples)), new[examples.labels])
        for split, examples in listing.splits.items()
    }
    return Listing(tuple(listing.class_names[label] for label in order), splits, listing.notes)


def drawn(listing: Listing, fraction: float, seed: int) -> Listing:
    """A listing without a split with about `fraction` of every class as test images, drawn as from a folder of class
    folders whose files are in the order of the listing. Others are unchanged. Raises `DataError` for a single image."""
    if "all" not in listing.splits:
        return listing
    every = listing.splits["all"]
    taken = np.zeros(len(every), np.bool_)
    for label, name in enumerate(listing.class_names):
        rows = np.flatnonzero(every.labels == label)
        if len(rows) == 1:
            raise DataError(f"Class {name!r} has a single image, which cannot be split; get the whole dataset again.")
        test, _ = split_rows(np.arange(len(rows)), fraction, seed, "test", name)
        taken[rows[test]] = True
    splits = {
        split: every.subset(rows, every.labels[rows])
        for split, rows in (("train", np.flatnonzero(~taken)), ("test", np.flatnonzero(taken)))
    }
    return Listing(listing.class_names, splits, listing.notes)


def image_files(
    files: Files, names: Sequence[str], labels: np.ndarray, boxes: Sequence[Box] | None = None,
    change: Callable[[Image.Image], Image.Image] | None = None,
) -> Examples:  # fmt: skip
    """Images in files, or the parts of them in `boxes`; `change` is applied to the opened image first.

    A change that gives other pixels than before needs another version of the release (`Release.version`).
    """

    def decode(index: int) -> PixelArray:
        from PIL import Image

        name = f"{names[index]} of {files.where}"
        with readable(name), Image.open(io.BytesIO(files.read(names[index]))) as opened:
            image = opened if change is None else change(opened)
            return native(image, None if boxes is None else boxes[index])

    def identity() -> Iterable[str]:
        for index, name in enumerate(names):
            yield f"{name}\t{files.stamp(name)}\t{'' if boxes is None else boxes[index]}"

    return Examples(_checked(labels, len(names)), decode, identity)


def arrays(pixels: Sequence[np.ndarray] | np.ndarray, labels: np.ndarray) -> Examples:
    """Images in memory: uint8 [H, W] or [H, W, 1 or 3] each."""

    def decode(index: int) -> PixelArray:
        image = np.asarray(pixels[index])
        if image.dtype != np.uint8:
            raise ValueError(f"an image in memory is uint8, not {image.dtype}")
        return image[..., None] if image.ndim == 2 else image

    def identity() -> Iterable[str]:
        for index in range(len(pixels)):
            image = np.ascontiguousarray(pixels[index])
            yield f"{image.shape} {hashlib.sha1(image.reshape(-1).data).hexdigest()}"

    return Examples(_checked(labels, len(pixels)), decode, identity)


def by_class(
    files: Files, rows: Mapping[str, Iterable[tuple[str, str]]], class_names: Sequence[str] | None = None,
    notes: tuple[str, ...] = (),
) -> Listing:  # fmt: skip
    """The listing of image files with one class each: for each split pairs of path and class name.

    Classes are numbered in the order of `class_names`, by name if it is not given. Raises `DataError` for a class that
    is not among them.
    """
    columns = {split: tuple(zip(*pairs, strict=True)) or ((), ()) for split, pairs in rows.items()}
    found = sorted({name for _, names in columns.values() for name in names})
    known = {name: label for label, name in enumerate(class_names if class_names is not None else found)}
    if odd := [name for name in found if name not in known]:
        raise DataError(f"{files.where} has images of an unknown class {odd[0]!r}; get the dataset again.")
    splits = {
        split: image_files(files, paths, np.array([known[name] for name in names], np.int64))
        for split, (paths, names) in columns.items()
    }
    return Listing(tuple(known), splits, notes)


def many_classes(
    files: Files, rows: Mapping[str, Iterable[tuple[str, Iterable[str]]]], class_names: Sequence[str],
    notes: tuple[str, ...] = (),
) -> Listing:  # fmt: skip
    """As `by_class` for images that may have several classes, or none: for each split pairs of path and class names."""
    known = {name: label for label, name in enumerate(class_names)}
    splits = {}
    for split, pairs in rows.items():
        paths, every = [], []
        for path, names in pairs:
            row = np.zeros(len(known), np.bool_)
            for name in names:
                if name not in known:
                    raise DataError(f"{files.where} has images of an unknown class {name!r}; get the dataset again.")
                row[known[name]] = True
            paths.append(path)
            every.append(row)
        splits[split] = image_files(files, paths, np.array(every, np.bool_).reshape(-1, len(known)))
    return Listing(tuple(known), splits, notes)


def _checked(labels: np.ndarray, count: int) -> np.ndarray:
    labels = np.asarray(labels)
    if len(labels) != count or labels.dtype not in (np.int64, np.bool_):
        raise ValueError(f"labels must be int64 [{count}] or bool [{count}, C], not {labels.dtype} {labels.shape}")
    return labels
