"""Miniatures by name."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.pen import IDS
from tools.miniatures.write import names, write


def test_names_are_sorted() -> None:
    assert list(names()) == sorted(names())
    assert "coil20" in names()


def test_a_miniature_is_written_into_a_folder_of_its_name(tmp_path: Path) -> None:
    pen = write("coil20", tmp_path / "new")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.zip")] == [
        "new/coil20/coil-20-proc.zip"
    ]
    assert len(pen.truth) == 60 < IDS
    assert {each.split for each in pen.truth.values()} == {"all"}
