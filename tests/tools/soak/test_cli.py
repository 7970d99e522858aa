"""`python -m tools.soak`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools.soak import cli
from tools.soak.outcome import Outcome
from tools.soak.server import ROOT


def test_unknown_tries_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--only", "flood:1"]) == 2
    assert "There is no try flood:1" in capsys.readouterr().err


def test_a_few_tries_by_the_path_of_the_folder(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "soak"), "--only", "fuzz:2", "fuzz:3", "--json", "--jobs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=500)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [(row["what"], row["disturbances"]) for row in found["table"]] == [("TOML", 1), ("options", 1)]


def test_a_failure_is_exit_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli, "preload", lambda: None)
    monkeypatch.setitem(cli.PARTS, "kill", lambda workshop, number, seed: Outcome(f"kill:{number}", "x", "silent", "y"))
    assert cli.main(["--only", "kill:3", "--jobs", "1", "--seed", "5"]) == 1
    assert "python -m tools.soak --only kill:3 --seed 5" in capsys.readouterr().err


def test_a_fault_of_the_soak_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> Outcome:
        raise RuntimeError("broken")

    monkeypatch.setattr(cli, "preload", lambda: None)
    monkeypatch.setitem(cli.PARTS, "kill", broken)
    assert cli.main(["--only", "kill:1", "kill:2", "--jobs", "1"]) == 1
    assert capsys.readouterr().err.count("the soak failed") == 4  # at once, and at the end
