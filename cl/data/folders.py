"""Trees of image files, one folder per class, as stores of one size."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from cl.data import reads
from cl.data.decoded import Decode, decoded_store
from cl.data.images import decode_resized
from cl.data.split import split_rows
from cl.data.store import Dataset, ImageStore, PixelArray, Progress
from cl.errors import DataError, UsageError

FOLDER_READER = 1
"""Version of the decoding of folders; increased when the same files would give other pixels."""
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
Files = dict[str, list[Path]]


def read_image_folder(
    root: Path, *, size: int, test_fraction: float, split_seed: int, progress: Progress | None = None
) -> tuple[Dataset, bool]:
    """Read a tree of images into a dataset; also return whether the split was drawn here.

    `root` contains `train/` and `test/` (or `val/`), each with one folder per class, or the class folders themselves.
    In the second case about `test_fraction` of every class (0: nothing, 1: everything) becomes the test set, drawn with
    `split_seed` from the files sorted by path. Images are decoded to RGB, the shorter side resized to `size`, the
    centre cropped, and cached. Classes are numbered by name. Raises `UsageError` for a tree of another form,
    `DataError` for a class without images or an image that cannot be read.
    """
    classes, train, test = scan(root, test_fraction, split_seed)
    own_split = official_folders(root) is None
    return dataset_of(root, root.name, classes, train, test, size, progress), own_split


def dataset_of(
    root: Path, name: str, classes: tuple[str, ...], train: Files, test: Files, size: int,
    progress: Progress | None = None, *, licence: str = "", citation: str = "",
) -> Dataset:  # fmt: skip
    """The dataset of files below `root`, decoded to [size, size, 3] and cached. Raises `DataError`."""
    reads.note(root)
    return Dataset(
        name=name,
        train=_store(root, f"{name} train", classes, train, size, progress),
        test=_store(root, f"{name} test", classes, test, size, progress),
        class_names=classes,
        origin=str(root),
        licence=licence,
        citation=citation,
    )


def scan(root: Path, test_fraction: float, split_seed: int) -> tuple[tuple[str, ...], Files, Files]:
    """Class names in order, and the training and test files of each; decodes nothing. Raises as `read_image_folder`."""
    if not root.is_dir():
        raise UsageError(
            f"There is no folder {root}; give the path of a folder of images, as in folder:/path/to/images."
        )
    official = official_folders(root)
    if official is None:
        return split_files(root, test_fraction, split_seed)
    train, test = (class_files(part) for part in official)
    if not train:
        raise UsageError(f"{official[0]} has no class folders; put the images of each class into a separate folder.")
    for kind, files, other in (("training", train, test), ("test", test, train)):
        absent = sorted(other.keys() - files.keys())
        if absent:
            raise DataError(f"Class {absent[0]!r} of {root} has no {kind} images; add some or remove the class.")
    return tuple(sorted(train)), train, test


def official_folders(root: Path) -> tuple[Path, Path] | None:
    """The train and test folders of a tree that has its own split."""
    tests = [root / name for name in ("test", "val") if (root / name).is_dir()]
    if not (root / "train").is_dir():
        return None
    if not tests:
        raise UsageError(
            f"{root} has train/ but neither test/ nor val/; add one, or give the path of the class folders."
        )
    return root / "train", tests[0]


def split_files(root: Path, test_fraction: float, split_seed: int) -> tuple[tuple[str, ...], Files, Files]:
    """Class names, and the files of class folders without an official split, split by a seed. Raises as `scan`."""
    files = class_files(root)
    if not files:
        raise UsageError(f"{root} has no class folders; put the images of each class into a separate folder.")
    train: Files = {}
    test: Files = {}
    for name, paths in files.items():
        if test_fraction in (0, 1):
            train[name], test[name] = (paths, []) if test_fraction == 0 else ([], paths)
            continue
        if len(paths) < 2:
            raise DataError(
                f"Class {name!r} of {root} has a single image, which cannot be split into training and test; add "
                "images or provide train/ and test/ folders."
            )
        chosen, rest = split_rows(np.arange(len(paths)), test_fraction, split_seed, "test", name)
        test[name], train[name] = [paths[row] for row in chosen], [paths[row] for row in rest]
    return tuple(sorted(files)), train, test


def class_files(folder: Path) -> Files:
    """Image files of every class folder, sorted by relative path; hidden files and folders are skipped."""
    result: Files = {}
    for entry in sorted(folder.iterdir(), key=lambda path: path.name):
        if entry.name.startswith(".") or not entry.is_dir():
            continue
        found = []
        for where, folders, names in os.walk(entry, followlinks=True):
            folders[:] = [name for name in folders if not name.startswith(".")]
            found += [
                os.path.join(where, name)
                for name in names
                if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES
            ]
        if not found:
            raise DataError(
                f"Class folder {entry} holds no images ({', '.join(sorted(SUFFIXES))}); add some or remove it."
            )
        result[entry.name] = [Path(path) for path in sorted(found, key=lambda path: _below(entry, path))]
    return result


def _store(
    root: Path, what: str, classes: tuple[str, ...], files: Files, size: int, progress: Progress | None
) -> ImageStore:
    paths = [path for name in classes for path in files[name]]
    labels = np.repeat(np.arange(len(classes)), [len(files[name]) for name in classes])

    if not paths:
        return ImageStore.from_arrays(np.empty((0, size, size, 3), np.uint8), labels)

    def source() -> Decode:
        def decode(index: int) -> PixelArray:
            return decode_resized(paths[index], size)

        return decode

    return decoded_store(what, _key(root, paths, size), labels, source, progress)


def _below(folder: Path, path: str) -> str:
    """The path relative to a folder, with forward slashes; faster than `Path.relative_to` for many files."""
    return path[len(str(folder)) + 1 :].replace(os.sep, "/")


def _key(root: Path, paths: list[Path], size: int) -> str:
    """Hash of paths, sizes and modification times, so that naming the cache does not read gigabytes."""
    digest = hashlib.sha256(f"folder {FOLDER_READER} {size}".encode())
    for path in paths:
        status = path.stat()
        line = f"\n{_below(root, str(path))}\t{status.st_size}\t{status.st_mtime_ns}"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()
