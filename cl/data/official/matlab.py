"""Files of MATLAB, up to version 7.2 of the format."""

from __future__ import annotations

import io
from typing import Any

from cl.data.official.files import Files
from cl.errors import DataError


def variables(files: Files, name: str) -> dict[str, Any]:
    """The variables of a .mat file by name, as `scipy.io.loadmat` gives them: every array has at least two dimensions.

    Raises `DataError` for a missing or damaged file.
    """
    import scipy.io

    data = files.read(name)
    try:
        found: dict[str, Any] = scipy.io.loadmat(io.BytesIO(data))
    except Exception as error:  # scipy raises nearly every type for damaged files
        why = str(error) or type(error).__name__
        raise DataError(f"Cannot read {name} of {files.where} ({why}); get it again.") from error
    return found
