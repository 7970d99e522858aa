"""Tables with a header, and lists of names."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl.data.official.files import Files, Folder
from cl.data.official.tables import listed, rows
from cl.errors import DataError


@pytest.fixture
def files(tmp_path: Path) -> Files:
    (tmp_path / "a.csv").write_bytes(b'Name; Class ;X\r\none.png;3;"a;b"\r\ntwo.png; 4 ;c\r\n')
    (tmp_path / "cut.csv").write_text("Name;Class\none.png;3\ntwo.png\n")
    (tmp_path / "empty.csv").write_text("")
    return Files([Folder(tmp_path, ("",))], "here")


def test_columns_are_found_by_name(files: Files) -> None:
    assert list(rows(files, "a.csv", ("Class", "Name"), ";")) == [("3", "one.png"), ("4", "two.png")]
    assert [row for (row,) in rows(files, "a.csv", ("X",), ";")] == ["a;b", "c"]


@pytest.mark.parametrize(
    ("name", "why"), [("cut.csv", "Line 3"), ("empty.csv", "no column Name"), ("b.csv", "no file")]
)
def test_what_is_wrong_is_one_sentence(files: Files, name: str, why: str) -> None:
    with pytest.raises(DataError, match=why):
        list(rows(files, name, ("Name", "Class"), ";"))


def test_a_line_break_in_a_name_is_a_space() -> None:
    assert listed("one, two\n    words,three") == ("one", "two words", "three")
