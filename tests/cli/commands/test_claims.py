"""`clbench claims`: the shipped claims, one of them, a file of one's own, and wrong names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cl.cli import call
from cl.results.claims import read_claims
from tests.results.claims.test_declared import written

RESULTS = Path(__file__).parents[3] / "results" / "reference" / "split-digits"


def test_all_claims_and_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["claims", str(RESULTS)]) == 0
    shown = capsys.readouterr().out
    assert all(f"| {claim.id} " in shown for claim in read_claims().claims) and "by chance" in shown
    assert call(["claims", str(RESULTS), "C5"]) == 0
    shown = capsys.readouterr().out
    assert "no forgetting" in shown and "clbench run -s wsn" in shown


def test_commands_are_valid_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(["claims", str(RESULTS), "C9"]) == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if "clbench run" in line]
    assert shown and all(line.endswith(f" --results {RESULTS}") for line in shown)
    (tmp_path / "results").symlink_to(RESULTS.parent.parent)
    assert call(["claims", "--file", str(written(tmp_path))]) == 0, "the default folder"


def test_claims_of_ones_own_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["claims", str(RESULTS), "--file", str(written(tmp_path)), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["claims"][0]
    assert found["id"] == "X1" and found["attempts"][0]["done"] == 1
    assert found["verdict"] == "running 1 of 2"


def test_a_wrong_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["claims", "C0"]) == 2
    assert "no claim and no folder 'C0'" in capsys.readouterr().err
