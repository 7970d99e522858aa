"""MATLAB files: variables, and one sentence for what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cl.data.official.files import Files, Folder
from cl.data.official.matlab import numbers, variable
from cl.errors import DataError
from tools.miniatures.packing import mat_bytes


@pytest.fixture
def files(tmp_path: Path) -> Files:
    content = {"ids": np.array([[3.0, 1.0]]), "one": np.array([[7]], np.uint8), "half": np.array([0.5, 1.0])}
    (tmp_path / "sets.mat").write_bytes(mat_bytes(content))
    return Files([Folder(tmp_path, ("",))], "here")


def test_variables_have_no_dimensions_of_length_one(files: Files) -> None:
    assert variable(files, "sets.mat", "ids").tolist() == [3.0, 1.0]
    assert numbers(files, "sets.mat", "ids") == [3, 1]
    assert numbers(files, "sets.mat", "one") == [7]


def test_what_is_wrong_is_one_sentence(files: Files, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no variable other"):
        variable(files, "sets.mat", "other")
    with pytest.raises(DataError, match="no vector of whole numbers"):
        numbers(files, "sets.mat", "half")
    content = (tmp_path / "sets.mat").read_bytes()
    for damaged in (b"", content[:150], content[:-20], b"\0" * 300):
        (tmp_path / "sets.mat").write_bytes(damaged)
        with pytest.raises(DataError, match=r"sets\.mat of here: it is damaged|no variable"):
            variable(files, "sets.mat", "ids")
