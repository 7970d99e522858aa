"""Variables of MATLAB files of versions 4 to 7, which scipy reads."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from cl.data.official.files import Files
from cl.errors import DataError


def variable(files: Files, name: str, key: str) -> np.ndarray:
    """The variable `key` of the file `name` without dimensions of length 1, at least one-dimensional.

    Raises `DataError` for a file that is missing, damaged or has no such variable.
    """
    from scipy.io import loadmat

    data = files.read(name)
    try:
        content: dict[str, Any] = loadmat(io.BytesIO(data), squeeze_me=True)
        return np.atleast_1d(content[key])
    except Exception as error:  # a damaged file raises anything, from zlib.error to TypeError
        why = f"it has no variable {key}" if isinstance(error, KeyError) else f"it is damaged ({error})"
        raise DataError(f"Cannot read {name} of {files.where}: {why}; get it again.") from error


def numbers(files: Files, name: str, key: str) -> list[int]:
    """A vector of whole numbers; raises as `variable`, and `DataError` for other values."""
    found = variable(files, name, key)
    if found.ndim != 1 or not (found.dtype.kind in "iuf" and (found == np.round(found)).all()):
        raise DataError(f"{key} in {name} of {files.where} is no vector of whole numbers; get it again.")
    return [int(value) for value in found]
