"""Trees of image files, one folder per class, as stores of one size."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cl.data import label_tables, reads
from cl.data.damaged import damaged, note
from cl.data.decoded import Decode, decoded_store
from cl.data.images import decode_resized
from cl.data.label_tables import Labelled, LabelTable
from cl.data.split import split_rows
from cl.data.store import Dataset, ImageStore, PixelArray, Progress
from cl.data.tree_walk import Found, LeftOut, folders_in, has_images, images_below, without_borrowed
from cl.data.unpacking import made_from, stamp_of
from cl.errors import DataError, UsageError, counted, printable

FOLDER_READER = 2
"""Version of the decoding of folders; increased when the same files would give other pixels."""
Files = dict[str, list[Path]]

_TRAIN, _TEST, _VAL = ("train", "training"), ("test", "testing"), ("val", "valid", "validation")
"""Names of the folders of a split, compared without regard to case."""
_LABELS = frozenset({".csv", ".json", ".tsv", ".xlsx", ".xml", ".mat"})


@dataclass(frozen=True)
class Tree:
    """A tree of images: class names in order, the training and test files of each class, and notes for users."""

    classes: tuple[str, ...]
    train: Files
    test: Files
    notes: tuple[str, ...] = ()
    own_split: bool = False  # drawn by us

    @property
    def paths(self) -> list[Path]:
        """All files, sorted."""
        return sorted(path for files in (self.train, self.test) for each in files.values() for path in each)


def read_image_folder(
    root: Path, *, size: int, test_fraction: float, split_seed: int, labels: LabelTable | None = None,
    next_to: Path | None = None, skip_damaged: bool = False, progress: Progress | None = None,
) -> tuple[Dataset, bool]:  # fmt: skip
    """Read a tree of images into a dataset; also return whether the split was drawn here.

    `root` contains `train/` and `test/` (or `val/`), each with one folder per class, or the class folders themselves.
    In the second case about `test_fraction` of every class (0: nothing, 1: everything) becomes the test set, drawn with
    `split_seed` from the files sorted by path. Images are decoded to RGB, the shorter side resized to `size`, the
    centre cropped, and cached. Classes are numbered by name. With `labels` the classes, and perhaps the split, are
    those of a table, which is also searched `next_to` a stream file. With `skip_damaged` the dataset is that of a
    folder without the images that cannot be read, and a note lists them. Raises `UsageError` for a tree of another
    form, `DataError` for a class without images or an image that cannot be read.
    """
    tree, skipped = scan(root, test_fraction, split_seed, labels, next_to), dict[Path, str]()
    if skip_damaged:
        paths = tree.paths
        skipped = damaged(root, paths, _key(root, paths, 0), progress)
        tree = scan(root, test_fraction, split_seed, labels, next_to, skipped)
    files = (tree.classes, tree.train, tree.test)
    dataset = dataset_of(root, root.name, *files, size, progress, labelled=labels is not None)
    return replace(dataset, notes=(*tree.notes, *note(root, skipped))), tree.own_split


def dataset_of(
    root: Path, name: str, classes: tuple[str, ...], train: Files, test: Files, size: int,
    progress: Progress | None = None, *, licence: str = "", citation: str = "", labelled: bool = False,
) -> Dataset:  # fmt: skip
    """The dataset of files below `root`, decoded to [size, size, 3] and cached. Raises `DataError`.

    `labelled`: the classes are not in the paths.
    """
    reads.note(root)
    return Dataset(
        name=name,
        train=_store(root, f"{name} train", classes, train, size, progress, labelled),
        test=_store(root, f"{name} test", classes, test, size, progress, labelled),
        class_names=classes,
        origin=str(root),
        licence=licence,
        citation=citation,
    )


def scan(
    root: Path, test_fraction: float, split_seed: int, labels: LabelTable | None = None, next_to: Path | None = None,
    without: Collection[Path] = (),
) -> Tree:  # fmt: skip
    """The classes and files of a tree, of a table if there is one; decodes nothing. Files in `without` are left out.

    Raises as `read_image_folder`.
    """
    if not root.is_dir():
        raise UsageError(
            f"There is no folder {root}; give the path of a folder of images, as in folder:/path/to/images."
        )
    left = LeftOut()
    if labels is not None:
        return _labelled(root, test_fraction, split_seed, label_tables.read(labels, root, left, next_to), left, without)
    _refuse_known_layouts(root)
    official = official_folders(root, left)
    if official is None:
        files = _kept(class_files(root, left), without)
        classes, train, test = split_files(root, test_fraction, split_seed, left, files)
        return Tree(classes, train, test, left.notes(), own_split=True)
    train, test = (_kept(class_files(part, left), without) for part in official)
    if not train:
        raise _no_classes(official[0])
    _check_both(root, train, test)
    return Tree(tuple(sorted(train)), train, test, left.notes())


def _labelled(
    root: Path, test_fraction: float, split_seed: int, found: Labelled, left: LeftOut, without: Collection[Path]
) -> Tree:
    """The tree of a table: its own split, or one that is drawn as from class folders."""
    splits = {split: _kept(files, without) for split, files in found.splits.items()}
    if "all" in splits:
        _, train, test = split_files(root, test_fraction, split_seed, left, splits["all"])
        return Tree(found.classes, train, test, left.notes(), own_split=True)
    if "test" in splits and "val" in splits:
        count = sum(map(len, splits.pop("val").values()))
        left.sentences.append(f"Left out: {counted(count, 'image')} of the split val (test holds the test images).")
    test = splits.get("test", splits.get("val", {}))
    train = splits.get("train", {})
    for kind, files in (("training", train), ("test", test)):
        if not files:
            raise DataError(f"No row of the labels of {root} is one of {kind}; correct the column, or leave it out.")
    _check_both(root, train, test)
    return Tree(tuple(name for name in found.classes if name in train), train, test, left.notes())


def _kept(files: Files, without: Collection[Path]) -> Files:
    """The files of each class without some; raises `DataError` if none of a class is left."""
    if not without:
        return files
    kept = {name: [path for path in paths if path not in without] for name, paths in files.items()}
    if empty := [name for name, paths in kept.items() if not paths]:
        raise DataError(f"All images of class {empty[0]!r} are damaged; replace them, or remove the class.")
    return kept


def _check_both(root: Path, train: Files, test: Files) -> None:
    """Raise `DataError` for a class without training or without test images."""
    for kind, files, other in (("training", train, test), ("test", test, train)):
        absent = sorted(other.keys() - files.keys())
        if absent:
            raise DataError(f"Class {absent[0]!r} of {root} has no {kind} images; add some or remove the class.")


def official_folders(root: Path, left: LeftOut | None = None) -> tuple[Path, Path] | None:
    """The train and test folders of a tree that has its own split; `left` gets what is not read next to them.

    Raises `UsageError` if there are two of a kind, or only training images.
    """
    here = folders_in(root)
    train, tests, vals = (_one_of(root, here, names) for names in (_TRAIN, _TEST, _VAL))
    if train is None or (tests is None and vals is None and has_images(train)):  # perhaps a class of trains
        return None
    labelled = [part for part in (tests, vals) if part is not None and folders_in(part)]
    if not labelled and (part := tests or vals) is not None:
        raise UsageError(
            f"{part} has no class folders, so that its images have no labels; put the images of each class into a "
            f"separate folder there, or give the path of the class folders, as in folder:{train}."
        )
    if not labelled:
        raise UsageError(
            f"{root} has {train.name}/ but neither test/ nor val/; add one, or give the path of the class folders, as "
            f"in folder:{train}."
        )
    if left is not None:
        for path in here:
            if path not in (train, labelled[0]):
                why = "its images have no labels" if path == tests else f"{labelled[0].name}/ holds the test images"
                left.sentences.append(f"Left out: the folder {path} ({why}).")
        folders_in(root, left)
    return train, labelled[0]


def _one_of(root: Path, folders: list[Path], names: tuple[str, ...]) -> Path | None:
    found = [path for path in folders if path.name.lower() in names]
    if len(found) > 1:
        raise UsageError(
            f"{root} has {found[0].name}/ and {found[1].name}/, and which of them to read is not clear; move one away."
        )
    return found[0] if found else None


def split_files(
    root: Path, test_fraction: float, split_seed: int, left: LeftOut | None = None, files: Files | None = None
) -> tuple[tuple[str, ...], Files, Files]:
    """Class names, and the files of class folders without an official split, split by a seed. Raises as `scan`.

    `files` are those of each class if they are known already.
    """
    files = class_files(root, left) if files is None else files
    if not files:
        raise _no_classes(root)
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


def class_files(folder: Path, left: LeftOut | None = None) -> Files:
    """Image files of every class folder, sorted by relative path; names in Unicode NFC. `left` gets what is left out.

    Each real file is read once. Raises `DataError` for class folders without images or with equal names, and as
    `cl.data.tree_walk.images_below`; `UsageError` if the folders are not classes.
    """
    left = left if left is not None else LeftOut()
    folders = folders_in(folder, left)
    _refuse_nested(folder, folders)
    classes: dict[str, list[Found]] = {}
    for path in folders:
        name = unicodedata.normalize("NFC", path.name)
        if not name.isprintable():  # bytes that are not UTF-8, or control characters
            raise DataError(f"The name of class folder {folder}/{ascii(name)[1:-1]} cannot be printed; rename it.")
        if name in classes:
            raise DataError(f"{folder} has two folders named {name!r} in different spellings of Unicode; rename one.")
        found = images_below(path, left)
        if not found:
            raise DataError(f"Class folder {path} holds no images that Pillow reads; add some or remove it.")
        classes[name] = found
    inner = {path: folders_in(path) for path in folders if not has_images(path)}
    if len(folders) > 1 and len(inner) == len(folders) and any(len(below) > 1 for below in inner.values()):
        example = next(f"{path.name}/{below[0].name}" for path, below in inner.items() if len(below) > 1)
        left.sentences.append(
            f"The {len(folders)} folders of {folder} hold only folders ({example}, ...); each of the outer ones is one "
            "class."
        )
    result = without_borrowed(classes)
    if empty := [name for name, paths in result.items() if not paths]:
        raise DataError(f"All images of class folder {folder / empty[0]} are links into other classes; remove it.")
    return result


def _refuse_known_layouts(root: Path) -> None:
    """Raise `UsageError` for a tree that a stream of ours reads in another way."""
    if (root / "wnids.txt").is_file() and (root / "val" / "val_annotations.txt").is_file():
        raise UsageError(
            f"{root} is the unpacked Tiny-ImageNet, whose test images are labelled by a file; use --stream "
            f"tiny-imagenet --set stream.folder={root}."
        )


def _refuse_nested(folder: Path, folders: list[Path]) -> None:
    """Raise `UsageError` if the folders in `folder` are not classes, but hold the class folders or the images."""
    if not folders or any(has_images(path) for path in folders):
        return
    inside = {path: folders_in(path) for path in folders}
    names = [each.name for below in inside.values() for each in below]
    repeated = len(folders) > 1 and len(names) > len(set(names)) and all(len(below) > 1 for below in inside.values())
    alone = len(folders) == 1 and len(names) > 1
    if repeated or alone:
        raise UsageError(
            f"{folder} holds no class folders but {len(folders)} folder{'s' if len(folders) > 1 else ''} of folders "
            f"({folders[0].name}/{names[0]}, ...); give the path of the class folders, as in folder:{folders[0]}."
        )


def refuse_single_class(root: Path, classes: Sequence[str]) -> None:
    """Raise `UsageError` for a tree with one class, naming the file of labels next to it if there is one."""
    if len(classes) > 1:
        return
    labels = [path.name for path in sorted(root.iterdir()) if path.suffix.lower() in _LABELS]
    if labels:
        raise UsageError(f"{root} has one folder of images and {labels[0]}; {_to_read(root / labels[0])}.")
    raise UsageError(f"{root} has the single class {classes[0]!r}; a stream needs at least two classes.")


def _to_read(table: Path) -> str:
    """What to do where the classes are in a file and not in the names of folders."""
    if table.suffix.lower() not in label_tables.SUFFIXES:
        return "clbench reads labels from folders, so put the images of each class into a separate folder"
    columns = label_tables.columns_of(table)
    here = f" (it has {', '.join(map(printable, columns[:10]))})" if columns else ""
    return (
        f"to read the classes there, set stream.labels={table.name}, and name its columns with stream.image_column and "
        f"stream.label_column{here}"
    )


def _no_classes(folder: Path) -> UsageError:
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() in label_tables.SUFFIXES)
    if tables:
        return UsageError(f"{folder} has no class folders, but {tables[0].name}; {_to_read(tables[0])}.")
    return UsageError(f"{folder} has no class folders; put the images of each class into a separate folder.")


def _store(
    root: Path, what: str, classes: tuple[str, ...], files: Files, size: int, progress: Progress | None,
    labelled: bool = False,
) -> ImageStore:  # fmt: skip
    paths = [path for name in classes for path in files[name]]
    labels = np.repeat(np.arange(len(classes)), [len(files[name]) for name in classes])

    if not paths:
        return ImageStore.from_arrays(np.empty((0, size, size, 3), np.uint8), labels)

    def source() -> Decode:
        def decode(index: int) -> PixelArray:
            return decode_resized(paths[index], size)

        return decode

    key = _key(root, paths, size)
    if labelled:
        key = hashlib.sha256(f"{key} {labels.tolist()}".encode()).hexdigest()
    return decoded_store(what, key, labels, source, progress)


def _below(folder: Path, path: str) -> str:
    """The path relative to a folder, with forward slashes; faster than `Path.relative_to` for many files."""
    return path[len(str(folder)) + 1 :].replace(os.sep, "/")


def _key(root: Path, paths: list[Path], size: int) -> str:
    """Hash of paths, sizes, times and inodes, so that naming the cache does not read gigabytes."""
    digest, made = hashlib.sha256(f"folder {FOLDER_READER} {size}".encode()), made_from(root)
    for path in paths:
        line = f"\n{_below(root, str(path))}\t{stamp_of(path, made)}"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()
