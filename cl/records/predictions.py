"""predictions.npz: the prediction for every test image after every evaluation, for paired tests between runs.

Arrays: `rows` int32 [n], row of the image in the dataset's store; `label` uint16 [n], position; `group` uint16 [n];
per rule `prediction/<rule>` uint16 [rows of the record, n], position or `ABSENT`, and `margin/<rule>` float16 of the
same shape, best minus second score, NaN if absent. Files are compressed; those of version 0.1.0 are not. A record holds
the hash of the content, which does not depend on the compression.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cl.errors import ContractError, DataError
from cl.files import write_bytes

ABSENT = 65535
"""Prediction of an image that was not evaluated."""

_INDEX = {"rows": "<i4", "label": "<u2", "group": "<u2"}


@dataclass(frozen=True, eq=False)
class Predictions:
    """The arrays of a predictions file: any integers and floats that fit the types in the module's docstring."""

    rows: NDArray[np.integer[Any]]
    label: NDArray[np.integer[Any]]
    group: NDArray[np.integer[Any]]
    prediction: Mapping[str, NDArray[np.integer[Any]]]
    margin: Mapping[str, NDArray[np.floating[Any]]]


def _integers(name: str, values: Any, dtype: str) -> NDArray[Any]:
    array = np.asarray(values)
    limits = np.iinfo(dtype)
    if array.size and (array.dtype.kind not in "iu" or array.min() < 0 or array.max() > limits.max):
        raise ContractError(f"Predictions: {name} needs integers from 0 to {limits.max}.")
    return array.astype(dtype)


def _arrays(predictions: Predictions) -> dict[str, NDArray[Any]]:
    """Every array by its name in the file, checked and converted to its fixed type."""
    arrays = {name: _integers(name, getattr(predictions, name), dtype) for name, dtype in _INDEX.items()}
    images = len(arrays["rows"])
    for rule, values in predictions.prediction.items():
        arrays[f"prediction/{rule}"] = _integers(f"prediction/{rule}", values, "<u2")
    for rule, scores in predictions.margin.items():
        most = float(np.finfo(np.float16).max)
        arrays[f"margin/{rule}"] = np.clip(np.asarray(scores, dtype=np.float32), -most, most).astype("<f2")
    tables = [array for name, array in arrays.items() if name not in _INDEX]
    flat = all(arrays[name].shape == (images,) for name in _INDEX)
    if not flat or any(table.ndim != 2 or table.shape != (len(tables[0]), images) for table in tables):
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ContractError(f"Predictions: shapes disagree, they need [n] and [evaluations, n]: {shapes}.")
    return arrays


def _archive(arrays: Mapping[str, NDArray[Any]], compression: int) -> bytes:
    """A zip of .npy files whose bytes depend only on the arrays (and, if compressed, on the version of zlib)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, array in sorted(arrays.items()):
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # otherwise the bytes would depend on the operating system
            entry.external_attr = 0o644 << 16
            entry.compress_type = compression
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            archive.writestr(entry, content.getvalue())
    return buffer.getvalue()


def _content_hash(arrays: Mapping[str, NDArray[Any]]) -> str:
    return hashlib.sha256(_archive(arrays, zipfile.ZIP_STORED)).hexdigest()


def predictions_sha256(predictions: Predictions) -> str:
    """Hash of the content, however the file is compressed: SHA-256 of the archive without compression.

    It is `predictions_sha256` of a record. Raises `ContractError` for wrong shapes or values.
    """
    return _content_hash(_arrays(predictions))


def write_predictions(path: Path | str, predictions: Predictions) -> str:
    """Write the file atomically, compressed, and return `predictions_sha256` of its content.

    Raises `ContractError` for wrong shapes or values, `StorageError` if it cannot be written.
    """
    arrays = _arrays(predictions)
    write_bytes(Path(path), _archive(arrays, zipfile.ZIP_DEFLATED))
    return _content_hash(arrays)


_DAMAGE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What NumPy and zipfile raise for damaged archives; RuntimeError means encryption or an unknown compression."""


def _check_read(index: Mapping[str, NDArray[Any]], tables: Mapping[str, NDArray[Any]]) -> None:
    """Raise `ValueError` for arrays of other types or shapes than `write_predictions` writes."""
    images = index["rows"].shape
    if len(images) != 1 or any(array.shape != images or array.dtype.kind not in "iu" for array in index.values()):
        raise ValueError("rows, label and group must be integers of one length")
    for name, array in tables.items():
        kinds = "f" if name.startswith("margin/") else "iu"
        if name.partition("/")[0] in ("prediction", "margin") and (
            array.ndim != 2 or array.shape[1:] != images or array.dtype.kind not in kinds
        ):
            raise ValueError(f"{name} has shape {array.shape} and type {array.dtype}, for {images[0]} images")


def read_predictions(path: Path | str, rule: str | None = None) -> Predictions:
    """Read a predictions file, compressed or not; with `rule`, only the predictions of that rule, without margins.

    Raises `DataError`, naming the file and the fix, if it is missing or damaged.
    """
    path = Path(path)
    try:
        # Opened here, because np.load leaves a file open that is not an archive.
        with open(path, "rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it is no archive")
            wanted = archive.files if rule is None else [*_INDEX, f"prediction/{rule}"]
            arrays = {name: archive[name] for name in wanted}
        index = {name: arrays.pop(name) for name in _INDEX}
        _check_read(index, arrays)
    except _DAMAGE as error:
        raise DataError(f"Cannot read predictions from {path} ({error}); run the same command again.") from error
    tables: dict[str, dict[str, NDArray[Any]]] = {"prediction": {}, "margin": {}}
    for name, array in arrays.items():
        kind, _, rule = name.partition("/")
        if kind in tables:
            tables[kind][rule] = array
    return Predictions(**index, prediction=tables["prediction"], margin=tables["margin"])
