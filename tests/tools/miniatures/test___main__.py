"""The command that writes miniatures: what it writes and prints, and its mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.miniatures import __main__ as command
from tools.miniatures.__main__ import main


def test_miniatures_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "coil20"]) == 0
    assert capsys.readouterr().out == "coil20: 60 pictures\n"
    assert (tmp_path / "coil20" / "coil-20-proc.zip").is_file()


def test_all_miniatures(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "names", lambda: ("coil20", "synthetic_covid19_xray"))
    assert main([str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coil20", "synthetic_covid19_xray"]


def test_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err == "usage: python -m tools.miniatures FOLDER [NAME ...]\n"


def test_an_unknown_name_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "new"), "coil20", "coil21"]) == 2
    assert capsys.readouterr().err.startswith("There is no miniature of coil21; there are ")
    assert not (tmp_path / "new").exists()
