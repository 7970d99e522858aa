"""The image files below a folder: each real file once, no special files, and a count of what is left out."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from cl.errors import DataError

SKIPPED = "__MACOSX"
"""Folder that macOS adds to archives: it holds no images, although its files have their names."""

_NO_IMAGES = frozenset({"BUFR", "EPS", "FITS", "GRIB", "HDF5", "MPEG", "PCD", "WMF"})
"""Formats that Pillow does not decode by itself, and PCD, whose suffix point clouds have."""


@cache
def suffixes() -> frozenset[str]:
    """The suffixes of image files that Pillow reads here, in lower case."""
    from PIL import Image

    Image.init()
    known = Image.registered_extensions().items()
    return frozenset(suffix for suffix, kind in known if kind in Image.OPEN and kind not in _NO_IMAGES)


@dataclass
class LeftOut:
    """Files that were found and not read, by suffix, and sentences about folders that were not read."""

    files: Counter[str] = field(default_factory=Counter)
    sentences: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Count a file."""
        self.files[os.path.splitext(name)[1].lower() or "without suffix"] += 1

    def notes(self) -> tuple[str, ...]:
        """Sentences for users: "Left out: 20 files (10 .txt, 10 without suffix)."."""
        if not self.files:
            return tuple(self.sentences)
        total = sum(self.files.values())
        most = sorted(self.files.items(), key=lambda entry: (-entry[1], entry[0]))
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in most[:5])
        more = f" and {len(most) - 5} other kinds" if len(most) > 5 else ""
        return (f"Left out: {total} file{'s' if total > 1 else ''} ({kinds}{more}).", *self.sentences)


@dataclass(frozen=True)
class Found:
    """An image file: its path, its device and inode, and whether a link led to it."""

    path: str
    identity: tuple[int, int]
    linked: bool


def images_below(folder: Path, left: LeftOut) -> list[Found]:
    """The image files below a folder, sorted by relative path, each real file once.

    Hidden files and folders are skipped, links are followed, and a folder that a link reaches again is not entered.
    Files without a suffix are images if Pillow recognises their content. Raises `DataError`, with the name, for
    dangling links, FIFOs, sockets, devices, and folders that cannot be read.
    """
    found, entered = list[Found](), set[tuple[int, int]]()
    waiting = [(os.fspath(folder), False)]
    while waiting:
        where, linked = waiting.pop()
        about = os.stat(where)
        if (about.st_dev, about.st_ino) in entered:
            continue
        entered.add((about.st_dev, about.st_ino))
        for entry, status in _entries(where):
            by_link = linked or entry.is_symlink()
            if stat.S_ISDIR(status.st_mode):
                if entry.name == SKIPPED:
                    left.sentences.append(f"Left out: the folder {entry.path}.")
                elif by_link:
                    waiting.insert(0, (entry.path, True))  # folders that are really here are entered first
                else:
                    waiting.append((entry.path, False))
            elif _is_image(entry):
                found.append(Found(entry.path, (status.st_dev, status.st_ino), by_link))
            else:
                left.add(entry.name)
    below = len(os.fspath(folder)) + 1
    found.sort(key=lambda each: (each.linked, each.path[below:].replace(os.sep, "/")))
    once = {each.identity: each for each in reversed(found)}.values()
    return sorted(once, key=lambda each: each.path[below:].replace(os.sep, "/"))


def without_borrowed(classes: dict[str, list[Found]]) -> dict[str, list[Path]]:
    """The paths of each class without files that a link takes from another class, where they really are."""
    real = {each.identity: name for name, found in classes.items() for each in found if not each.linked}
    return {
        name: [Path(each.path) for each in found if not each.linked or real.get(each.identity, name) == name]
        for name, found in classes.items()
    }


def folders_in(folder: Path, left: LeftOut | None = None) -> list[Path]:
    """The folders in a folder that are not hidden, sorted by name; `left` counts the files next to them.

    Raises `DataError` as `images_below`.
    """
    result = []
    for entry, status in _entries(os.fspath(folder)):
        if not stat.S_ISDIR(status.st_mode):
            if left is not None:
                left.add(entry.name)
        elif entry.name != SKIPPED:
            result.append(Path(entry.path))
        elif left is not None:
            left.sentences.append(f"Left out: the folder {entry.path}.")
    return sorted(result, key=lambda path: path.name)


def has_images(folder: Path) -> bool:
    """Whether a folder itself holds an image file."""
    return any(stat.S_ISREG(status.st_mode) and _is_image(entry) for entry, status in _entries(os.fspath(folder)))


def _entries(folder: str) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
    """The entries of a folder that are not hidden, with their status."""
    try:
        with os.scandir(folder) as entries:
            visible: Iterable[os.DirEntry[str]] = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"Cannot read the folder {folder} ({error.strerror}); check its permissions.") from error
    for entry in visible:
        try:
            status = entry.stat()
        except OSError as error:
            if entry.is_symlink():
                raise DataError(f"{entry.path} is a link to nothing; remove it, or put back its target.") from error
            raise DataError(f"Cannot read {entry.path} ({error.strerror}); check its permissions.") from error
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise DataError(f"{entry.path} is a pipe, socket or device; remove it from the images.")
        yield entry, status


def _is_image(entry: os.DirEntry[str]) -> bool:
    suffix = os.path.splitext(entry.name)[1].lower()
    return suffix in suffixes() if suffix else _looks_like_an_image(entry.path)


def _looks_like_an_image(path: str) -> bool:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return image.format not in _NO_IMAGES
    except UnidentifiedImageError:
        return False
    except Exception:  # recognised, and damaged: decoding names it
        return True
