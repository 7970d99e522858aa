"""predictions.npz: the prediction for every test image after every evaluation, for paired tests between runs.

Arrays: `rows` int32 [n], row of the image in the dataset's store; `label` uint16 [n], position; `group` uint16 [n];
per rule `prediction/<rule>` uint16 [rows of the record, n], position or `ABSENT`, and `margin/<rule>` float16 of the
same shape, best minus second score, NaN if absent. A run with --save-scores adds, in the same shape, `rank/<rule>`
uint16, the number of classes that score higher than the image's own, or `ABSENT`; `confidence/<rule>` and
`likelihood/<rule>` float16, natural logarithms of the probability (softmax of the scores that the rule may choose from)
of the answer and of the image's own class, NaN if absent: 6 bytes per image and evaluation before compression.

Files of complete runs are compressed, apart from those of version 0.1.0. A record holds the hash of the content, which
does not depend on the compression.
"""

from __future__ import annotations

import hashlib
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cl.errors import ContractError, DataError
from cl.files import write_bytes

PREDICTIONS = "predictions.npz"
"""Name of the file in the folder of a run."""

ABSENT = 65535
"""Prediction of an image that was not evaluated."""

MOST_BYTES = 1 << 32
"""The arrays of a file that is read may take this much memory; more than any stream needs, so it is damage."""

SCORES = ("rank", "confidence", "likelihood")
"""The optional arrays of --save-scores, per rule."""

_INTEGER = ("prediction", "rank")
_INDEX = {"rows": "<i4", "label": "<u2", "group": "<u2"}


@dataclass(frozen=True, eq=False)
class Predictions:
    """The arrays of a predictions file: any integers and floats that fit the types in the module's docstring."""

    rows: NDArray[np.integer[Any]]
    label: NDArray[np.integer[Any]]
    group: NDArray[np.integer[Any]]
    prediction: Mapping[str, NDArray[np.integer[Any]]]
    margin: Mapping[str, NDArray[np.floating[Any]]]
    scores: Mapping[str, Mapping[str, NDArray[Any]]] = field(default_factory=dict)
    """Of `SCORES`: rule -> array; empty if the run did not store scores."""


def _integers(name: str, values: Any, dtype: str) -> NDArray[Any]:
    array = np.asarray(values)
    limits = np.iinfo(dtype)
    if array.size and (array.dtype.kind not in "iu" or array.min() < 0 or array.max() > limits.max):
        raise ContractError(f"Predictions: {name} needs integers from 0 to {limits.max}.")
    return array.astype(dtype)


def _halves(values: Any, kind: str) -> NDArray[Any]:
    """Values as float16: too large margins become the largest number, too small log-probabilities minus infinity."""
    table = np.asarray(values, dtype=np.float32)
    if kind == "margin":
        most = float(np.finfo(np.float16).max)
        table = np.clip(table, -most, most)
    with np.errstate(over="ignore"):
        return table.astype("<f2")


def _arrays(predictions: Predictions) -> dict[str, NDArray[Any]]:
    """Every array by its name in the file, checked and converted to its fixed type."""
    arrays = {name: _integers(name, getattr(predictions, name), dtype) for name, dtype in _INDEX.items()}
    images = len(arrays["rows"])
    for rule, values in predictions.prediction.items():
        arrays[f"prediction/{rule}"] = _integers(f"prediction/{rule}", values, "<u2")
    for kind, tables_of_kind in {"margin": predictions.margin, **predictions.scores}.items():
        for rule, values in tables_of_kind.items():
            name = f"{kind}/{rule}"
            arrays[name] = _integers(name, values, "<u2") if kind in _INTEGER else _halves(values, kind)
    tables = [array for name, array in arrays.items() if name not in _INDEX]
    flat = all(arrays[name].shape == (images,) for name in _INDEX)
    if not flat or any(table.ndim != 2 or table.shape != (len(tables[0]), images) for table in tables):
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ContractError(f"Predictions: shapes disagree, they need [n] and [evaluations, n]: {shapes}.")
    return arrays


def _archive(arrays: Mapping[str, NDArray[Any]], compression: int, level: int | None = None) -> bytes:
    """A zip of .npy files whose bytes depend only on the arrays (and, if compressed, on the version of zlib).

    `level` is that of zlib, None for its default.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, array in sorted(arrays.items()):
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # otherwise the bytes would depend on the operating system
            entry.external_attr = 0o644 << 16
            entry.compress_type = compression
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            archive.writestr(entry, content.getvalue(), compresslevel=level)
    return buffer.getvalue()


def _content_hash(arrays: Mapping[str, NDArray[Any]]) -> str:
    return hashlib.sha256(_archive(arrays, zipfile.ZIP_STORED)).hexdigest()


def predictions_sha256(predictions: Predictions) -> str:
    """Hash of the content, however the file is compressed: SHA-256 of the archive without compression.

    It is `predictions_sha256` of a record. Raises `ContractError` for wrong shapes or values.
    """
    return _content_hash(_arrays(predictions))


def write_predictions(path: Path | str, predictions: Predictions, *, compressed: bool = True) -> str:
    """Write the file atomically and return `predictions_sha256` of its content, which does not depend on compression.

    An incomplete run writes it after every evaluation, without compression, which takes ten times as long. If few
    images have an answer, it is compressed in haste all the same: it would grow with the square of the number of
    tasks. Raises `ContractError` for wrong shapes or values, `StorageError` if it cannot be written.
    """
    arrays = _arrays(predictions)
    plain = _archive(arrays, zipfile.ZIP_STORED)
    if compressed:
        data = _archive(arrays, zipfile.ZIP_DEFLATED)
    else:
        hasty = len(plain) >= _LARGE and _mostly_absent(arrays)
        data = _archive(arrays, zipfile.ZIP_DEFLATED, level=1) if hasty else plain
    write_bytes(Path(path), data)
    return hashlib.sha256(plain).hexdigest()


_LARGE = 1 << 20
"""Bytes of the smallest file of an incomplete run that may be compressed."""


def _mostly_absent(arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Whether at most a quarter of the images has an answer."""
    answers = [array for name, array in arrays.items() if name.startswith("prediction/")]
    found = sum(int(np.count_nonzero(array != ABSENT)) for array in answers)
    return 4 * found <= sum(array.size for array in answers)


_DAMAGE = (
    *(OSError, ValueError, KeyError, IndexError, TypeError, EOFError, RuntimeError, OverflowError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
"""What NumPy and zipfile raise for damaged archives; RuntimeError means encryption or an unknown compression."""


def _read_arrays(archive: zipfile.ZipFile, wanted: Iterable[str] | None, most: int) -> dict[str, NDArray[Any]]:
    """The wanted arrays by name (None: all); raises `ValueError` before it allocates what a header falsely declares."""
    entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
    arrays: dict[str, NDArray[Any]] = {}
    left = most
    for name in entries if wanted is None else wanted:
        entry = entries[name]
        left -= entry.file_size
        if left < 0:
            raise ValueError(f"its arrays declare more than {most:,} bytes")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name} has another compression")
        with archive.open(entry) as file:
            arrays[name] = _read_array(file, entry.file_size, name)
    return arrays


def _of_rules(archive: zipfile.ZipFile, rules: str | Collection[str]) -> list[str]:
    """Names of the arrays that one rule needs, or several if they are there, with scores if the run stored them."""
    held = {entry.filename.removesuffix(".npy") for entry in archive.infolist()}
    wanted = [rules] if isinstance(rules, str) else [rule for rule in rules if f"prediction/{rule}" in held]
    scores = [name for rule in wanted for kind in SCORES if (name := f"{kind}/{rule}") in held]
    return [*_INDEX, *(f"prediction/{rule}" for rule in wanted), *scores]


_HEADER = 10_000
"""Bytes of the longest header that NumPy reads."""


@lru_cache(maxsize=256)
def _parsed(header: bytes, version: tuple[int, int]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """What the header of a .npy file says: shape, order, type. Files of alike runs have equal headers."""
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    found: tuple[tuple[int, ...], bool, np.dtype[Any]] = read(io.BytesIO(header))
    return found


def _read_array(file: Any, size: int, name: str) -> NDArray[Any]:
    """The array in a .npy file of `size` bytes; raises `ValueError` for other types than numbers and other sizes."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{name} has the unknown format {version}")
    prefix = file.read(2 if version == (1, 0) else 4)
    length = int.from_bytes(prefix, "little")
    try:
        shape, fortran, dtype = _parsed(prefix + file.read(min(length, _HEADER)), version)
    except Exception as error:  # NumPy parses the header as Python, so a damaged one raises almost anything
        raise ValueError(f"the header of {name} cannot be read") from error
    if dtype.kind not in "iuf" or dtype.shape:
        raise ValueError(f"{name} has type {dtype}")
    expected = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or expected != size - file.tell():
        raise ValueError(f"{name} declares {shape} and holds {size - file.tell()} bytes")
    data = bytearray(file.read(expected))
    if len(data) != expected or file.read(1):  # the second call also checks the checksum of the entry
        raise ValueError(f"{name} is cut off")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _check_read(index: Mapping[str, NDArray[Any]], tables: Mapping[str, NDArray[Any]]) -> None:
    """Raise `ValueError` for arrays of other types or shapes than `write_predictions` writes."""
    images = index["rows"].shape
    if len(images) != 1 or any(array.shape != images or array.dtype.kind not in "iu" for array in index.values()):
        raise ValueError("rows, label and group must be integers of one length")
    for name, array in tables.items():
        kind = name.partition("/")[0]
        kinds = "iu" if kind in _INTEGER else "f"
        if kind in ("prediction", "margin", *SCORES) and (
            array.ndim != 2 or array.shape[1:] != images or array.dtype.kind not in kinds
        ):
            raise ValueError(f"{name} has shape {array.shape} and type {array.dtype}, for {images[0]} images")


def read_predictions(
    path: Path | str, rule: str | Collection[str] | None = None, *, most: int = MOST_BYTES
) -> Predictions:
    """Read a predictions file, compressed or not; with `rule`, only predictions and scores of that rule, no margins.

    `rule` may be several rules: then of those that the file has.

    `most`: bytes that the arrays may take in memory; a file that declares more is damaged.
    Raises `DataError`, naming the file and the fix, if it is missing or damaged.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = _read_arrays(archive, None if rule is None else _of_rules(archive, rule), most)
        index = {name: arrays.pop(name) for name in _INDEX}
        _check_read(index, arrays)
        index = {name: _integers(name, array, _INDEX[name]) for name, array in index.items()}
        arrays = {
            name: _integers(name, array, "<u2") if name.partition("/")[0] in _INTEGER else array
            for name, array in arrays.items()
        }
    except (*_DAMAGE, ContractError) as error:
        problem = "it is no archive" if isinstance(error, zipfile.BadZipFile) else error
        raise DataError(
            f"Cannot read predictions from {path} ({problem}); run it again with --existing always."
        ) from error
    tables: dict[str, dict[str, NDArray[Any]]] = {kind: {} for kind in ("prediction", "margin", *SCORES)}
    for name, array in arrays.items():
        kind, _, own = name.partition("/")
        if kind in tables:
            tables[kind][own] = array
    scores = {kind: tables[kind] for kind in SCORES if tables[kind]}
    return Predictions(**index, prediction=tables["prediction"], margin=tables["margin"], scores=scores)


def has_scores(path: Path | str) -> bool:
    """Whether a predictions file holds stored scores; raises `DataError` if it is damaged."""
    path = Path(path)
    return path.is_file() and bool(read_predictions(path).scores)


def check_predictions(path: Path | str, sha256: str | None, *, most: int = MOST_BYTES) -> Predictions:
    """Check that a file holds the predictions of a record, whose `predictions_sha256` is given; `most` as for reading.

    Returns what it has read: all predictions of the file.

    Raises `DataError`, naming the file and the fix, if it is missing, damaged or of another run.
    """
    path = Path(path)
    found = read_predictions(path, most=most)
    try:
        fits = predictions_sha256(found) == sha256
    except ContractError:  # a value that no file holds
        fits = False
    if not fits:
        raise DataError(
            f"{path} is damaged or of another run: its content does not have the predictions_sha256 of the record; "
            "run it again with --existing always."
        )
    return found
