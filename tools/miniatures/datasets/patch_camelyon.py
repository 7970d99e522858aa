"""PatchCamelyon in little: patches of both classes in the HDF5 files of the three splits."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from tools.miniatures.packing import write_files, write_gz
from tools.miniatures.pen import Pen

SPLITS = {"train": "train", "valid": "val", "test": "test"}


def write(folder: Path, pen: Pen) -> None:
    """camelyonpatch_level_2_split_SPLIT_x.h5.gz with the patches, and _y.h5.gz with their labels."""
    for name, data in _content(pen).items():
        write_gz(folder / f"{name}.gz", data)


def write_torchvision(folder: Path, pen: Pen) -> None:
    """The same without gzip, in the folder pcam/ as torchvision leaves them."""
    write_files(folder / ".." / "pcam", _content(pen))


def _content(pen: Pen) -> dict[str, bytes]:
    found = {}
    for name, split in SPLITS.items():
        labels = [0, 1, 1, 0, 1]
        patches = [np.asarray(pen.draw(split, ("normal", "tumour")[label], (96, 96))) for label in labels]
        start = f"camelyonpatch_level_2_split_{name}"
        found[f"{start}_x.h5"] = _hdf5("x", np.stack(patches))
        found[f"{start}_y.h5"] = _hdf5("y", np.array(labels, np.uint8).reshape(-1, 1, 1, 1))
    return found


def _hdf5(key: str, array: np.ndarray) -> bytes:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset(key, data=array, chunks=(1, *array.shape[1:]))
    return buffer.getvalue()
