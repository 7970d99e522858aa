"""Reader of Omniglot's official archives: 1,623 characters of 50 alphabets, each drawn by twenty people."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from pathlib import Path

import numpy as np

from cl.data import reads
from cl.data.archives import check_zip
from cl.data.decoded import Decode, decoded_store
from cl.data.images import readable
from cl.data.readers import Content
from cl.data.store import PixelArray, Progress
from cl.errors import DataError
from cl.files import sha256_of

SIDE = 32
"""Side of the decoded images; the originals have 105 pixels."""

TRAIN_DRAWERS = 15
"""Drawers 1 to 15 make the training images, 16 to 20 the test images."""

_VERSION = 1
_NAME = re.compile(r"[^/]+/(?P<alphabet>[^/]+)/(?P<character>character\d+)/\d+_(?P<drawer>\d+)\.png")


def read_omniglot(paths: tuple[Path, ...], progress: Progress | None = None) -> Content:
    """Both archives, or both unpacked folders, as one dataset of 32 px, ink white on black; classes are named
    ALPHABET/CHARACTER, in their order.

    Decoded once into the cache. Raises `DataError` for an archive that is damaged or has other files.
    """
    found: dict[str, list[tuple[Path, str, int]]] = {}
    for path in paths:
        for name in _names(path):
            if match := _NAME.fullmatch(name):
                found.setdefault(f"{match['alphabet']}/{match['character']}", []).append(
                    (path, name, int(match["drawer"]))
                )
    if not found:
        raise DataError(f"{paths[0]} has no Omniglot drawings; put images_background.zip of the authors there.")
    classes = tuple(sorted(found))
    digest = "".join(_identity(path) for path in paths)
    splits = {}
    for split, wanted in (("train", lambda d: d <= TRAIN_DRAWERS), ("test", lambda d: d > TRAIN_DRAWERS)):
        rows = [(label, *each[:2]) for label, name in enumerate(classes) for each in found[name] if wanted(each[2])]
        key = hashlib.sha256(f"omniglot {_VERSION} {SIDE} {digest} {split}".encode()).hexdigest()
        files = [(path, name) for _, path, name in rows]
        labels = np.array([label for label, _, _ in rows], np.int64)
        splits[split] = decoded_store(f"Omniglot {split}", key, labels, _Drawings(files).open, progress)
    return Content(splits, classes, {})


def _names(path: Path) -> list[str]:
    """The names of the files in an archive, or below a folder as if it were one."""
    if path.is_dir():
        return sorted(each.relative_to(path.parent).as_posix() for each in path.rglob("*.png"))
    try:
        with zipfile.ZipFile(path) as archive:
            check_zip(archive, path)
            return sorted(archive.namelist())
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(
            f"Cannot read {path}: it is truncated or damaged ({error}); replace it and run again."
        ) from error


def _identity(path: Path) -> str:
    """What changes if the content of an archive or a folder does."""
    if not path.is_dir():
        return sha256_of(path)
    lines = (f"{name}\t{reads.text_of((path.parent / name).stat())}" for name in _names(path))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class _Drawings:
    """Members of the archives or files of the folders, opened when they are decoded."""

    def __init__(self, files: list[tuple[Path, str]]) -> None:
        self.files = files

    def open(self) -> Decode:
        drawings: dict[tuple[Path, str], bytes] = {}
        for path in {path for path, _ in self.files}:
            if path.is_dir():
                drawings |= {(path, name): (path.parent / name).read_bytes() for own, name in self.files if own == path}
                continue
            with zipfile.ZipFile(path) as archive:
                drawings |= {(path, name): archive.read(name) for own, name in self.files if own == path}

        def decode(index: int) -> PixelArray:
            path, name = self.files[index]
            return decode_drawing(drawings[path, name], f"{path}:{name}")

        return decode


def decode_drawing(data: bytes, name: str) -> PixelArray:
    """A drawing as uint8 [32, 32, 1]: grey, resized with Lanczos' filter, inverted."""
    from PIL import Image

    with readable(name), Image.open(io.BytesIO(data)) as image:
        small = image.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        return 255 - np.asarray(small)[..., None]
