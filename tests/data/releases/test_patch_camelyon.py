"""PatchCamelyon: without h5py, and with damaged files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cl.data import releases
from cl.errors import DataError, UsageError
from tests.help.releases import located, written


@pytest.fixture
def unpacked(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the unpacked files."""
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path))
    written("patch_camelyon", tmp_path, "write_torchvision")
    return tmp_path / "pcam"


def test_without_h5py_one_sentence_says_what_to_install(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    release = releases.release("patch_camelyon")
    with pytest.raises(UsageError, match=r"^PatchCamelyon needs h5py, .*; run: pip install 'clbench\[hdf5\]'\.$"):
        release.read(located(release).open())


@pytest.mark.parametrize("keep", [0, 200, -300])
def test_a_damaged_file_is_one_sentence(unpacked: Path, keep: int) -> None:
    path = unpacked / "camelyonpatch_level_2_split_valid_x.h5"
    path.write_bytes(path.read_bytes()[:keep])
    release = releases.release("patch_camelyon")
    with pytest.raises(DataError, match=r"^Cannot read camelyonpatch_level_2_split_valid_x\.h5 of .*; get it again\.$"):
        release.read(located(release).open())


def test_labels_of_another_split_are_one_sentence(unpacked: Path) -> None:
    import h5py

    with h5py.File(unpacked / "camelyonpatch_level_2_split_test_y.h5", "w") as file:
        file.create_dataset("y", (3, 1, 1, 1), "u1")
    release = releases.release("patch_camelyon")
    with pytest.raises(DataError, match=r"test_x\.h5 of .* has 5 images, and 3 labels; get it again\.$"):
        release.read(located(release).open())
