"""PatchCamelyon: patches of lymph nodes, with or without tumour tissue in their middle; 96 x 96 pixels.

The authors' training, validation and test patches. Needs h5py (`pip install 'clbench[hdf5]'`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from cl.data.official.files import Files
from cl.data.official.listing import Examples, Listing
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release
from cl.data.store import PixelArray
from cl.errors import DataError, UsageError, counted

_NAMES = {"train": "train", "val": "valid", "test": "test"}
_SITE = "https://zenodo.org/record/2546921/files/"


def _read(files: Files) -> Listing:
    return Listing(("normal", "tumour"), {split: _examples(files, name) for split, name in _NAMES.items()})


def _examples(files: Files, split: str) -> Examples:
    """The patches of one split: `x` is uint8 [N, 96, 96, 3] in one file, `y` is [N, 1, 1, 1] in another one."""
    name = f"camelyonpatch_level_2_split_{split}_x.h5"
    pixels = _array(files, name, "x")
    labels = np.asarray(_array(files, f"camelyonpatch_level_2_split_{split}_y.h5", "y"), np.int64).reshape(-1)
    if len(labels) != len(pixels):
        raise DataError(
            f"{name} of {files.where} has {counted(len(pixels), 'image')}, and {counted(len(labels), 'label')}; get it "
            "again."
        )

    def decode(index: int) -> PixelArray:
        return np.asarray(pixels[index], np.uint8)

    def identity() -> Iterable[str]:
        yield f"{name}\t{files.stamp(name)}"

    return Examples(labels, decode, identity)


def _array(files: Files, name: str, key: str) -> Any:
    """An array of a file, which is read where it is used; h5py locks, so several threads may."""
    try:
        import h5py
    except ImportError as error:
        raise UsageError(
            "PatchCamelyon needs h5py, which is not installed here; run: pip install 'clbench[hdf5]'."
        ) from error
    path = files.local(name)
    try:
        return h5py.File(path, "r")[key]
    except (OSError, KeyError) as error:
        raise DataError(f"Cannot read {name} of {files.where} ({error}); get it again.") from error


def _file(split: str, kind: str, size: int, md5: str, sha256: str) -> OfficialFile:
    name = f"camelyonpatch_level_2_split_{split}_{kind}.h5"
    return OfficialFile(f"{name}.gz", (f"{_SITE}{name}.gz",), size, md5, sha256, holds=(name,))


RELEASE = Release(
    name="patch_camelyon",
    title="PatchCamelyon",
    files=(
        _file(
            *("train", "x", 6_421_353_462, "1571f514728f59376b705fc836ff4b63"),
            "d619e741468a7ab35c7e4a75e6821b7e7e6c9411705d45708f2a0efc8960656c",
        ),
        _file(
            *("train", "y", 21_378, "35c2d7259d906cfc8143347bb8e05be7"),
            "b74126d2c01b20d3661f9b46765d29cf4e4fba6faba29c8e0d09d406331ab75a",
        ),
        _file(
            *("valid", "x", 805_965_320, "d5b63470df7cfa627aeec8b9dc0c066e"),
            "f82ee1670d027b4ec388048d9eabc2186b77c009655dae76d624c0ecb053ccb2",
        ),
        _file(
            *("valid", "y", 3_038, "2b85f58b927af9964a4c15b8f7e8f179"),
            "ce1ae30f08feb468447971cfd0472e7becd0ad96d877c64120c72571439ae48c",
        ),
        _file(
            *("test", "x", 800_875_929, "d8c2d60d490dbd479f8199bdfa0cf6ec"),
            "79174c2201ad521602a5888be8f36ee10875f37403dd3f2086caf2182ef87245",
        ),
        _file(
            *("test", "y", 3_040, "60a7035772fbdb7f34eb86d4420cf66a"),
            "0a522005fccc8bbd04c5a117bfaf81d8da2676f03a29d7499f71d0a0bd6068ef",
        ),
    ),
    read=_read,
    classes=2,
    images=327_680,
    licence="CC0",
    citation="Veeling et al., Rotation Equivariant CNNs for Digital Pathology, MICCAI 2018",
    page="https://github.com/basveeling/pcam",
    checked=TORCHVISIONS,
    folders=("pcam",),
)
