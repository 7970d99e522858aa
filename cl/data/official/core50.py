"""CORe50: images of fifty objects in eleven sessions, as a tree of files or as one array with a list of paths."""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from cl.data.official.files import Files
from cl.data.official.listing import Examples, Listing, arrays, by_class
from cl.errors import DataError

CLASSES = tuple(f"o{number}" for number in range(1, 51))
TESTED = ("s3", "s7", "s10")
"""The sessions of the test images."""
ARRAY, PATHS = "x.npy", "paths.pkl"
"""The array in core50_imgs.npz, and the list of the paths of its images."""
_PATH = re.compile(r"(s\d+)/(o\d+)/[^/]+\.png")


def sessions(files: Files, wanted: Sequence[str] | None = None) -> Listing:
    """The images of the sessions `wanted` as one set without a split; by default all, split as the authors do.

    Raises `DataError` for files that are damaged, or that lack a session.
    """
    if wanted is None:
        every = _rows(files)
        chosen = {
            "train": [row for row in every if row[0] not in TESTED],
            "test": [row for row in every if row[0] in TESTED],
        }
    else:
        chosen = {"all": [row for row in _rows(files) if row[0] in wanted]}
    if ARRAY not in files:
        splits = {split: [(path, owner) for _, owner, path, _ in rows] for split, rows in chosen.items()}
        return by_class(files, splits, CLASSES)
    pixels = _pixels(files)
    return Listing(CLASSES, {split: _examples(pixels, rows) for split, rows in chosen.items()})


_Row = tuple[str, str, str, int]
"""Session, object, path and place of an image among all of them."""


def _rows(files: Files) -> list[_Row]:
    if ARRAY in files:
        paths = _paths(files.read(PATHS), f"{PATHS} of {files.where}")
        matches = [(path, _PATH.fullmatch(path)) for path in paths]
        if odd := next((path for path, found in matches if found is None or found[2] not in CLASSES), None):
            raise DataError(f"{PATHS} of {files.where} has an odd path {odd[:100]!r}; get it again.")
        return [(found[1], found[2], path, place) for place, (path, found) in enumerate(matches) if found is not None]
    found = files.match(rf"core50_128x128/{_PATH.pattern}")
    return [(each[1], each[2], path, place) for place, (path, each) in enumerate(found)]


class _Texts(pickle._Unpickler):
    """Refuses every name, so that only lists, texts and numbers are read; see `cl.data.cifar_pickle`."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    del dispatch[pickle.BYTEARRAY8[0]]

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no list of paths needs")


def _paths(data: bytes, where: str) -> list[str]:
    """The texts of a pickled list; no code from the file runs."""
    try:
        paths = _Texts(io.BytesIO(data), encoding="latin1").load()
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise pickle.UnpicklingError("it is no list of texts")
    except Exception as error:  # random opcodes of a damaged pickle can raise anything
        raise DataError(f"{where} is not CORe50's list of paths ({error}); get it again.") from error
    return paths


def _pixels(files: Files) -> np.ndarray:
    """All images, uint8 [N, 128, 128, 3], mapped from the cache: they are 8 GB."""
    try:
        pixels: np.ndarray = np.load(files.local(ARRAY), mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, SyntaxError) as error:
        raise DataError(f"{ARRAY} of {files.where} is damaged ({error}); get it again.") from error
    count = len(_paths(files.read(PATHS), f"{PATHS} of {files.where}"))
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3 or len(pixels) != count:
        raise DataError(
            f"{ARRAY} of {files.where} holds {pixels.dtype} {list(pixels.shape)}, not the {count} images of {PATHS}; "
            "get both again."
        )
    return pixels


def _examples(pixels: np.ndarray, rows: Sequence[_Row]) -> Examples:
    labels = np.array([CLASSES.index(owner) for _, owner, _, _ in rows], np.int64)
    return arrays([pixels[place] for *_, place in rows], labels)  # views: no pixel is read yet
