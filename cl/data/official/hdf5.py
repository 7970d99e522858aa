"""Arrays in HDF5 files, which h5py reads: an optional package."""

from __future__ import annotations

from typing import Any

from cl.data.official.files import Files
from cl.errors import DataError, UsageError


def array(files: Files, name: str, key: str, title: str) -> Any:
    """The array `key` of a file, as h5py's dataset: parts are read when they are used, from several threads.

    `title` is the dataset's name for errors. Raises `UsageError` if h5py is not installed, and `DataError` for a file
    that is missing, damaged or has no such array.
    """
    try:
        import h5py
    except ImportError as error:
        raise UsageError(
            f"{title} needs h5py, which is not installed here; run: pip install 'clbench[hdf5]'."
        ) from error
    path = files.local(name)
    try:
        return h5py.File(path, "r")[key]
    except (OSError, KeyError, RuntimeError) as error:
        raise DataError(f"Cannot read {name} of {files.where}: it is damaged ({error}); get it again.") from error
