"""Trees of image files used by papers: finding them, unpacking the archive, and choosing the split.

Papers use different splits of the same images under one name, and their numbers are not comparable. Here each split has
a name, which is part of a stream's identity.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from cl.data import reads
from cl.data.archives import safe_extract
from cl.data.catalog import declaration, obtain
from cl.data.folders import Files, class_files, dataset_of, official_folders, split_files
from cl.data.official.listing import by_name
from cl.data.official.release import Release, find, find_in, load
from cl.data.sources import check_md5
from cl.data.store import Dataset, Progress
from cl.data.tree_walk import SKIPPED, LeftOut, suffixes
from cl.data.unpacking import unpacked
from cl.errors import DataError, UsageError
from cl.paths import home, writable_cache

SPLITS = ("official", "seeded", "lists", "folders")
"""The dataset's official split; clbench's split, drawn from the sorted file names; published lists of files; existing
folders train/ and test/ (or val/)."""

TEST_SHARE = 0.2
Official = Callable[[Path], tuple[Files, Files]]


@dataclass(frozen=True)
class Split:
    """A split of a tree: one of `SPLITS`, with the seed for "seeded" or the two files for "lists"."""

    name: str = "seeded"
    seed: int = 0
    train_list: str | None = None
    test_list: str | None = None

    def check(self) -> None:
        """Raise `UsageError` for lists without "lists", or for "lists" without lists."""
        lists = self.train_list is not None, self.test_list is not None
        if self.name == "lists" and not all(lists):
            raise UsageError("split=lists needs both stream.train_list and stream.test_list, the paths of two files.")
        if self.name != "lists" and any(lists):
            raise UsageError(f"train_list and test_list belong to split=lists, not to split={self.name}; set it.")


def read_tree(
    name: str, split: Split, *, size: int, official: Official, folder: str | None = None,
    below: str = "", progress: Progress | None = None,
) -> tuple[Dataset, dict[str, object]]:  # fmt: skip
    """The dataset declared as `name`, and the part of a stream's identity that describes the split.

    `official` gives the training and test files of the official split. `folder` is used if given; otherwise the dataset
    is searched, or its archive is downloaded and unpacked into the cache. Class folders are in the folder `below` of
    the root. Images are RGB, shorter side `size`, centre crop, and are decoded once.
    Raises `DataError` for a dataset that is missing or another one, `UsageError` for a split that the tree does not
    have.
    """
    declared = declaration(name)
    if folder:
        reads.note_written(Path(folder))
    root = inner(Path(folder).expanduser()) if folder else find_tree(name, progress)
    if not root.is_dir():
        raise UsageError(f"There is no folder {root}; give the path of the unpacked {declared.title}.")
    left = LeftOut()
    train, test, about = _chosen(root, below, split, official, declared.title, left)
    classes = tuple(sorted(train))
    if len(classes) != declared.n_classes or train.keys() != test.keys():
        raise DataError(
            f"{root} is not {declared.title}: its training images have {len(classes)} classes and its test images "
            f"{len(test)}, expected {declared.n_classes} for both; use the whole dataset, or folder:{root}."
        )
    dataset = dataset_of(
        root, declared.name, classes, train, test, size, progress,
        licence=declared.licence, citation=declared.citation,
    )  # fmt: skip
    return replace(dataset, notes=left.notes()), {"size": size, "split": split.name, **about}


def read_release(
    name: str, release: Release, *, size: int, folder: str | None = None, progress: Progress | None = None
) -> tuple[Dataset, dict[str, object]]:
    """As `read_tree` for the official split of a dataset in archives and tables, with the classes sorted by name.

    Raises `MissingData` for one that is not found, `DataError` for an incomplete one.
    """
    declared = declaration(name)
    if folder:
        reads.note_written(Path(folder))
        root = Path(folder).expanduser()
        if not root.is_dir():
            raise UsageError(f"There is no folder {root}; give the path of the unpacked {declared.title}.")
        found = find_in(release, root) or find_in(release, inner(root))
    else:
        found = find(release)
        root = Path(obtain(name, progress).paths[0]) if found is None else found.folder  # which says what is missing
    if found is None:
        names = " + ".join(file.name for file in release.files)
        raise DataError(
            f"{root} lacks files of {declared.title}: it needs {names}, or another form that `clbench data where "
            f"{name}` lists; complete it, or choose another split."
        )
    dataset = load(found, size, progress, by_name)
    dataset = replace(dataset, name=declared.name, licence=declared.licence, citation=declared.citation)
    return dataset, {"size": size, "split": "official"}


def find_tree(name: str, progress: Progress | None = None) -> Path:
    """The unpacked dataset in a folder of CLBENCH_DATA_PATH or in the cache; if there is none, unpack its archive.

    Raises `DataError` if it is not found and cannot be downloaded, or if the archive is another file.
    """
    copy = obtain(name, progress)
    path, archive = copy.paths[0], declaration(name).archive
    if path.is_dir():
        return inner(path)
    if path.name != archive.name:  # of a port, whose content no checksum fixes
        return inner(unpacked(path))
    folder = Path("data") / declaration(name).sources[0].names[0]
    target = home() / folder
    if not target.exists():
        check_md5(path, archive.md5)
        target = writable_cache() / folder
    return inner(safe_extract(path, target))


def inner(root: Path) -> Path:
    """The folder with the content: archives may nest it in a subfolder of the same name, or in a single subfolder."""
    while root.is_dir():
        found = [
            entry
            for entry in root.iterdir()
            if entry.is_dir() and not entry.name.startswith(".") and entry.name != SKIPPED
        ]
        same = [entry for entry in found if entry.name == root.name]
        if not same and (len(found) != 1 or found[0].name in ("train", "test", "val", "images")):
            break
        root = (same or found)[0]
    return root.resolve()


def _chosen(
    root: Path, below: str, split: Split, official: Official, title: str, left: LeftOut
) -> tuple[Files, Files, dict[str, object]]:
    """Training and test files by class, and the identity of the split."""
    split.check()
    if split.name == "official":
        train, test = official(root)
        return train, test, {}
    parts = official_folders(root)
    base = root / below if (root / below).is_dir() else root
    if split.name == "folders":
        if parts is None:
            raise UsageError(
                f"{root} has no train/ and test/ (or val/); choose another split of {title}, such as split=seeded."
            )
        return class_files(parts[0], left), class_files(parts[1], left), {}
    if split.name == "seeded":
        files = _merged(root, parts, left) if parts is not None else None
        _, train, test = split_files(base, TEST_SHARE, split.seed, left, files)
        return train, test, {"split_seed": split.seed, "test_fraction": TEST_SHARE}
    assert split.train_list and split.test_list
    known = {(name, path.name): path for part in parts or (base,) for name, files in class_files(part).items()
             for path in files}  # fmt: skip
    train, test = (_listed(Path(path).expanduser(), known) for path in (split.train_list, split.test_list))
    names = [sorted(f"{c}/{p.name}" for c, paths in files.items() for p in paths) for files in (train, test)]
    if both := sorted({*names[0]} & {*names[1]}):
        raise UsageError(f"{both[0]} is in both lists; a test image is never a training image.")
    digests = [hashlib.sha256("\n".join(each).encode()).hexdigest() for each in names]
    return train, test, {"train_list": digests[0], "test_list": digests[1]}


def _merged(root: Path, parts: tuple[Path, Path], left: LeftOut) -> Files:
    """The files of a tree that a port has dealt to two folders, as if they were in the folders of their classes again.

    Raises `UsageError` if both do not have the same classes, or a class has two files of one name: then files were
    renamed or copied, and the seed would draw another split.
    """
    train, test = (class_files(part, left) for part in parts)
    merged = {name: sorted(train[name] + test.get(name, []), key=lambda path: path.name) for name in train}
    if train.keys() != test.keys() or any(len({p.name for p in each}) < len(each) for each in merged.values()):
        raise UsageError(
            f"{root} is split into folders already, and their files do not make the whole dataset again; set "
            "stream.split=folders."
        )
    names = " and ".join(f"{part.name}/" for part in parts)
    left.sentences.append(f"The images of {names} are put together and split by our seed.")
    return merged


@cache
def _path_pattern() -> re.Pattern[str]:
    """Matches the path of an image in any text."""
    endings = "|".join(re.escape(suffix) for suffix in sorted(suffixes(), key=len, reverse=True))
    return re.compile(rf"[^\s\"',\[\]]+(?:{endings})\b", re.IGNORECASE)


def _listed(path: Path, known: dict[tuple[str, str], Path]) -> Files:
    """The files of a list, by class. A list is any text (lines, YAML, JSON) with paths CLASS/FILE; leading folders,
    such as the author's data folder, are ignored."""
    if not path.is_file():
        raise UsageError(f"There is no list of files {path}; give the path of one.")
    reads.note(path)
    reads.note_written(path)
    files: Files = {}
    for text in dict.fromkeys(_path_pattern().findall(path.read_text(encoding="utf-8", errors="replace"))):
        *above, name = text.replace("\\", "/").split("/")
        owner = next((part for part in reversed(above) if (part, name) in known), None)
        if owner is None:
            raise DataError(f"{path} lists {text}, which is not among the images; use the list of this dataset.")
        files.setdefault(owner, []).append(known[owner, name])
    if not files:
        raise UsageError(f"{path} names no images; write one path CLASS/FILE per line.")
    return {name: sorted(set(paths)) for name, paths in files.items()}
