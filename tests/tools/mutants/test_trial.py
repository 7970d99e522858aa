"""A mutant is caught if a test fails; tests that cannot be run are told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.mutants import trial
from tools.mutants.trial import copy_of_repository, run_tests


def test_failing_passing_and_missing_tests(tmp_path: Path) -> None:
    (tmp_path / "test_good.py").write_text("def test_one():\n    assert 1 == 1\n")
    (tmp_path / "test_bad.py").write_text("def test_one():\n    assert 1 == 2\n")
    (tmp_path / "test_none.py").write_text("x = 1\n")
    assert run_tests(tmp_path, ["test_bad.py"]).caught
    good = run_tests(tmp_path, ["test_good.py"])
    assert not good.caught and not good.broken
    nothing = run_tests(tmp_path, ["test_none.py"])
    assert not nothing.caught and nothing.broken
    absent = run_tests(tmp_path, ["test_absent.py"])
    assert not absent.caught and absent.broken, "pytest was called wrongly; no test failed"
    assert [each.passed for each in (good, nothing, absent)] == [True, False, False]


def test_a_mutant_that_hangs_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "TIMEOUT", 0.2)
    (tmp_path / "test_slow.py").write_text("import time\n\ndef test_one():\n    time.sleep(60)\n")
    slow = run_tests(tmp_path, ["test_slow.py"])
    assert slow.caught and slow.broken == "timed out", "the report says that no test failed"


def test_the_copy_has_the_code_and_not_the_environment(tmp_path: Path) -> None:
    copy = copy_of_repository(tmp_path)
    assert (copy / "strategies" / "slca.py").is_file() and (copy / "pyproject.toml").is_file()
    assert not (copy / ".git").exists() and not (copy / "strategies" / "slca.py").is_symlink()
