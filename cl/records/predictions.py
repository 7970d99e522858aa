"""predictions.npz: what was predicted for every test image after every evaluation, for paired tests between runs.

Arrays: `rows` int32 [n], row of the image in the dataset's store; `label` uint16 [n], position; `group` uint16 [n];
per rule `prediction/<rule>` uint16 [rows of the record, n], position or `ABSENT`, and `margin/<rule>` float16 of the
same shape, best minus second score, NaN where absent. The bytes depend on the arrays alone: no compression, no times.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
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
    """The arrays of a predictions file, any integers and floats that fit the types at the head of this module."""

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
    """Every array under its name in the file, checked and in its fixed type."""
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


def write_predictions(path: Path | str, predictions: Predictions) -> str:
    """Write the file atomically and return the SHA-256 of its bytes, which depend on the arrays alone.

    Raises `ContractError` for wrong shapes or values, `StorageError` where it cannot be written.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in sorted(_arrays(predictions).items()):
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # the system that wrote it would otherwise enter the bytes
            entry.external_attr = 0o644 << 16
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            archive.writestr(entry, content.getvalue())
    data = buffer.getvalue()
    write_bytes(Path(path), data)
    return hashlib.sha256(data).hexdigest()


def read_predictions(path: Path | str, rule: str | None = None) -> Predictions:
    """Read a predictions file, or of it the answers of one rule without their margins.

    Raises `DataError`, naming the file and the fix, where it is missing or damaged.
    """
    path = Path(path)
    try:
        # Opened here: np.load leaves the file open where it is no archive.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as archive:
            wanted = archive.files if rule is None else [*_INDEX, f"prediction/{rule}"]
            arrays = {name: archive[name] for name in wanted}
        index = {name: arrays.pop(name) for name in _INDEX}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"Cannot read predictions from {path} ({error}); run the same command again.") from error
    tables: dict[str, dict[str, NDArray[Any]]] = {"prediction": {}, "margin": {}}
    for name, array in arrays.items():
        kind, _, rule = name.partition("/")
        if kind in tables:
            tables[kind][rule] = array
    return Predictions(**index, prediction=tables["prediction"], margin=tables["margin"])
