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


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "the following arguments are required: FOLDER"),
        (["--folder"], "the following arguments are required: FOLDER"),
        (["new", "--all"], "unrecognized arguments: --all"),
        (["--", "-new"], "-new looks like an option; for a folder of this name write ./-new."),
        (["new", "coil20", "coil21"], "There is no miniature of coil21; there are "),
    ],
)
def test_mistakes_write_nothing(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2 and says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_help_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: python -m tools.miniatures ") and "where to write" in shown
    assert list(tmp_path.iterdir()) == []
