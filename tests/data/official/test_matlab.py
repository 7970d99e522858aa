"""Files of MATLAB: what is in them, and damaged ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from cl.data.official.files import Files, Folder
from cl.data.official.matlab import variables
from cl.errors import DataError


@pytest.fixture
def files(tmp_path: Path) -> Files:
    scipy.io.savemat(tmp_path / "labels.mat", {"count": np.array([3, 1, 4])}, oned_as="column")
    return Files([Folder(tmp_path, ("",))], "here")


def test_variables_are_read(files: Files) -> None:
    assert variables(files, "labels.mat")["count"].tolist() == [[3], [1], [4]]


@pytest.mark.parametrize("keep", [0, 60, 130, 150])
def test_a_damaged_file_is_one_sentence(files: Files, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "labels.mat"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"^Cannot read labels.mat of here \(.*\); get it again.$"):
        variables(files, "labels.mat")
