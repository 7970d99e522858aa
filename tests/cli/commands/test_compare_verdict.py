"""`clbench compare`: a verdict in words, or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cl.cli.app import call
from cl.results.leaderboard.entries import Run
from tests.help.pairs import pair

MakeRun = Callable[..., Run]


def test_the_command_prints_a_verdict_or_json(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair(make_run, lost=30, won=6)
    monkeypatch.setenv("CLBENCH_RESULTS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path / "runs")  # both are names of folders here, which say the same
    assert call(["compare", "slca", "ewc"]) == 0
    text = capsys.readouterr().out
    assert "A (slca) is better: 95 % interval of the difference [+" in text
    assert "| mean | 60.00 | 52.00 | +8.00 |" in text and "Classes where A gains most" in text
    monkeypatch.chdir(tmp_path)
    assert call(["compare", "slca", "ewc", "--json", "--metric", "A_inc_sample"]) == 0
    assert json.loads(capsys.readouterr().out)["metric"] == "A_inc_sample"
    assert call(["compare", "slca", str(tmp_path / "runs" / "ewc" / "seed0")]) == 0
    assert "On one seed only." in capsys.readouterr().out
    assert call(["compare", "slca", "ewc", "--stream", "other"]) == 2
    assert "on other streams or backbones: split-toy on vit_micro" in capsys.readouterr().err
