"""MATLAB files: vectors, texts and structures, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cl.data.official.files import Files, Single
from cl.data.official.matlab import numbers, texts, variable, variables
from cl.errors import DataError
from tools.miniatures.packing import mat_bytes

NAMES = np.array([["a"], ["b c"]], dtype=object)


def files(tmp_path: Path, content: bytes) -> Files:
    path = tmp_path / "list.mat"
    path.write_bytes(content)
    return Files([Single(path, "")], "the folder")


def test_dimensions_of_length_1_are_left_out(tmp_path: Path) -> None:
    found = files(tmp_path, mat_bytes({"y": np.array([[3], [10]], np.uint8), "x": np.zeros((2, 1, 3)), "n": NAMES}))
    assert numbers(found, "list.mat", "y") == [3, 10]
    assert variable(found, "list.mat", "x").shape == (2, 3)
    assert texts(found, "list.mat", "n") == ["a", "b c"]


def test_a_single_value_is_a_vector(tmp_path: Path) -> None:
    found = files(tmp_path, mat_bytes({"y": np.array([[7]]), "n": np.array([["one"]], dtype=object)}))
    assert numbers(found, "list.mat", "y") == [7]
    assert texts(found, "list.mat", "n") == ["one"]


def test_fields_of_a_structure_have_names(tmp_path: Path) -> None:
    rows = np.array([[(np.array(["a.jpg"]), np.array([[4]]))] * 2], [("fname", "O"), ("class", "O")])
    found = variable(files(tmp_path, mat_bytes({"table": rows})), "list.mat", "table")
    assert [(row["fname"], int(row["class"])) for row in found] == [("a.jpg", 4)] * 2


@pytest.mark.parametrize("key", ["missing", "halves", "names"])
def test_other_variables_are_refused(tmp_path: Path, key: str) -> None:
    found = files(tmp_path, mat_bytes({"halves": np.array([0.5, 1.0]), "names": NAMES}))
    with pytest.raises(DataError, match=f"{key}.* of the folder|of the folder.*{key}"):
        numbers(found, "list.mat", key)


def test_numbers_are_no_texts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no list of texts"):
        texts(files(tmp_path, mat_bytes({"y": np.arange(3)})), "list.mat", "y")


@pytest.mark.parametrize("keep", [0, 40, 150, 190])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, keep: int) -> None:
    content = mat_bytes({"y": np.arange(100)})[:keep]
    with pytest.raises(DataError, match=r"Cannot read list\.mat of the folder") as caught:
        variable(files(tmp_path, content), "list.mat", "y")
    assert "\n" not in str(caught.value)


def test_variables_keep_their_dimensions(tmp_path: Path) -> None:
    found = variables(files(tmp_path, mat_bytes({"count": np.array([[3], [1]])})), "list.mat")
    assert found["count"].tolist() == [[3], [1]]
