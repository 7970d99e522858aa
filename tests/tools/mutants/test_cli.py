"""The command reports survivors and puts each file back."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tools.mutants import cli
from tools.mutants.cli import main, trials
from tools.mutants.listed import Mutant


def test_survivors_are_counted_and_files_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, copy = tmp_path / "root", tmp_path / "copy"
    for folder in (root, copy):
        folder.mkdir()
        (folder / "mine.py").write_text("def one():\n    return 1\n\ndef two():\n    return 2\n")
        (folder / "test_code.py").write_text("from mine import one\n\ndef test_one():\n    assert one() == 1\n")
    monkeypatch.setattr(cli, "ROOT", root)
    mutants = [
        Mutant("one", "mine.py", "return 1", "return 3", ("test_code.py",)),
        Mutant("two", "mine.py", "return 2", "return 3", ("test_code.py",)),
        Mutant("gone", "mine.py", "return 9", "return 3", ("test_code.py",)),
    ]
    assert trials(mutants, copy, float("inf")) == 2
    shown = capsys.readouterr().out
    assert "caught    one" in shown and "SURVIVED  two" in shown and "CANNOT BE APPLIED  gone" in shown
    assert "3 mutants, 1 caught, 2 survived or not applied, 0 not tried" in shown
    assert (copy / "mine.py").read_bytes() == (root / "mine.py").read_bytes()
    assert trials(mutants, copy, 0.0) == 0 and "3 not tried" in capsys.readouterr().out


def test_an_unknown_name_is_an_error() -> None:
    done = CliRunner().invoke(main, ["--only", "no such mutant"])
    assert done.exit_code == 1 and "no mutant has" in done.output
