"""The command reports survivors and puts each file back."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tools.mutants import cli, listed
from tools.mutants.cli import main, trials
from tools.mutants.listed import Mutant


def test_survivors_are_counted_and_files_put_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = b"def one():\n    return 1\n\ndef two():\n    return 2\n"
    (tmp_path / "mine.py").write_bytes(code)
    (tmp_path / "test_code.py").write_text("from mine import one\n\ndef test_one():\n    assert one() == 1\n")
    mutants = [
        Mutant("one", "mine.py", "return 1", "return 3", ("test_code.py",)),
        Mutant("two", "mine.py", "return 2", "return 3", ("test_code.py",)),
        Mutant("gone", "mine.py", "return 9", "return 3", ("test_code.py",)),
    ]
    assert trials(mutants, tmp_path, float("inf")) == 2
    shown = capsys.readouterr().out
    assert "caught    one" in shown and "SURVIVED  two" in shown and "CANNOT BE APPLIED  gone" in shown
    assert "3 mutants, 1 caught, 2 survived or cannot be told, 0 not tried" in shown
    assert (tmp_path / "mine.py").read_bytes() == code
    assert trials(mutants, tmp_path, 0.0) == 0 and "3 not tried" in capsys.readouterr().out


def test_tests_that_fail_without_a_mutant_catch_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text("x = 1\n")
    (tmp_path / "test_code.py").write_text("def test_one():\n    assert 1 == 2\n")
    mutants = [Mutant(name, "mine.py", "x = 1", "x = 2", ("test_code.py",)) for name in ("one", "two")]
    assert trials(mutants, tmp_path, float("inf")) == 2
    shown = capsys.readouterr().out
    assert "CANNOT BE TOLD  one: its tests fail without it (1 failed" in shown and "0 caught" in shown


@pytest.mark.parametrize(("failed", "code"), [(0, 0), (3, 1)])
def test_survivors_give_the_exit_code_of_the_process(monkeypatch: pytest.MonkeyPatch, failed: int, code: int) -> None:
    monkeypatch.setattr(cli, "trials", lambda *_: failed)
    monkeypatch.setattr(cli, "copy_of_repository", lambda folder: folder)
    assert CliRunner().invoke(main, []).exit_code == code


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--only", "no such mutant"], "no mutant has"),
        (["--only", "SLCA", "--sample", "3"], "leave it out with --sample"),
        (["--sample", "-1"], "-1 is not in the range"),
    ],
)
def test_wrong_options(words: list[str], fault: str) -> None:
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2 and fault in done.output


def test_a_wrong_file_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.toml").write_text("[[mutant]]\nnam = 'x'\n")
    monkeypatch.setattr(listed, "FOLDER", tmp_path)
    done = CliRunner().invoke(main, [])
    assert done.exit_code == 2 and "unknown key 'nam'. Did you mean name?" in done.output
