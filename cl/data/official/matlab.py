"""Variables of MATLAB files of versions 4 to 7, which scipy reads."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from cl.data.official.files import Files
from cl.errors import DataError


def variables(files: Files, name: str) -> dict[str, Any]:
    """The variables of a file by name, as `scipy.io.loadmat` gives them: every array has at least two dimensions.

    Raises `DataError` for a missing or damaged file.
    """
    return _loaded(files, name)


def variable(files: Files, name: str, key: str) -> np.ndarray:
    """The variable `key` of the file `name` without dimensions of length 1, at least one-dimensional.

    Raises `DataError` for a file that is missing, damaged or has no such variable.
    """
    content = _loaded(files, name, variable_names=[key], squeeze_me=True)
    if key not in content:
        raise DataError(f"Cannot read {name} of {files.where}: it has no variable {key}; get it again.")
    return np.atleast_1d(content[key])


def _loaded(files: Files, name: str, **options: Any) -> dict[str, Any]:
    from scipy.io import loadmat

    data = files.read(name)
    try:
        found: dict[str, Any] = loadmat(io.BytesIO(data), **options)
    except Exception as error:  # a damaged file raises anything, from zlib.error to TypeError
        why = str(error) or type(error).__name__
        raise DataError(f"Cannot read {name} of {files.where}: it is damaged ({why}); get it again.") from error
    return found


def numbers(files: Files, name: str, key: str) -> list[int]:
    """A vector of whole numbers; raises as `variable`, and `DataError` for other values."""
    found = variable(files, name, key)
    if found.ndim != 1 or not (found.dtype.kind in "iuf" and (found == np.round(found)).all()):
        raise DataError(f"{key} in {name} of {files.where} is no vector of whole numbers; get it again.")
    return [int(value) for value in found]


def texts(files: Files, name: str, key: str) -> list[str]:
    """A cell array of texts; raises as `variable`, and `DataError` for other values."""
    found = variable(files, name, key).tolist()
    if not all(isinstance(text, str) for text in found):
        raise DataError(f"{key} in {name} of {files.where} is no list of texts; get it again.")
    return found
