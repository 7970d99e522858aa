"""Arrays in HDF5 files."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from cl.data.official.files import Files, Folder
from cl.data.official.hdf5 import array
from cl.errors import DataError, UsageError

VALUES = np.arange(24, dtype=np.uint16).reshape(4, 3, 2)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "some.hdf5", "w") as file:
        file.create_dataset("images", data=VALUES)
    return Files([Folder(tmp_path, ("",))], str(tmp_path))


def test_parts_are_read(files: Files) -> None:
    found = array(files, "some.hdf5", "images", "Some")
    assert found.shape == VALUES.shape
    np.testing.assert_array_equal(found[2], VALUES[2])


def test_what_is_not_there_is_one_sentence(files: Files, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Cannot read some\.hdf5 of .*get it again\.$"):
        array(files, "some.hdf5", "labels", "Some")
    with pytest.raises(DataError, match=r"has no file other\.hdf5"):
        array(files, "other.hdf5", "images", "Some")
    content = (tmp_path / "some.hdf5").read_bytes()
    (tmp_path / "cut.hdf5").write_bytes(content[: len(content) // 3])
    with pytest.raises(DataError, match=r"Cannot read cut\.hdf5"):
        array(Files([Folder(tmp_path, ("",))], "here"), "cut.hdf5", "images", "Some")


def test_without_h5py_the_error_has_the_command(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UsageError, match=r"Some needs h5py.*pip install 'clbench\[hdf5\]'"):
        array(files, "some.hdf5", "images", "Some")
