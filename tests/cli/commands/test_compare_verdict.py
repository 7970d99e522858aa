"""`clbench compare`: a verdict in words, or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cl import registry
from cl.cli.app import call
from cl.cli.commands.compare import command
from cl.results.leaderboard.entries import Run
from tests.help.environments import ROOT
from tests.help.pairs import answers, pair

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


def test_flips_and_intransigence_per_seed(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ewc loses 30 of 300 images and wins 6, so slca wins 30 and loses 6."""
    pair(make_run, lost=30, won=6)
    monkeypatch.setenv("CLBENCH_RESULTS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    assert call(["compare", "slca", "ewc", "--json"]) == 0
    for each in json.loads(capsys.readouterr().out)["seeds"]:
        assert each["flips"] == {"positive": 30 / 300, "negative": 6 / 300}
        assert each["difference"] == pytest.approx(each["flips"]["positive"] - each["flips"]["negative"])
        assert each["intransigence"] is None
    assert call(["compare", "slca", "ewc"]) == 0
    assert "| McNemar p |  NFR |   PFR |\n" in capsys.readouterr().out


def test_a_joint_run_gives_the_intransigence_of_the_other(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are right on all images of the first tasks; the last has 100 images."""
    run = make_run(answers(0, lost=30), strategy="ewc")
    joint = make_run(answers(0), strategy="joint", result__strategy__access="past")
    last = [each.result["accuracy"]["cil_seen"]["correct"][2][2] for each in (run, joint)]
    monkeypatch.setenv("CLBENCH_RESULTS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    for sides in (["ewc", "joint"], ["joint", "ewc"]):
        assert call(["compare", *sides, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)["seeds"][0]["intransigence"]
        assert found["I_last"] == pytest.approx((last[1] - last[0]) / 100) and found["I_last"] > 0
        assert found["I_mean"] == pytest.approx((last[1] - last[0]) / 300)
    assert call(["compare", "ewc", "joint"]) == 0
    assert "|  PFR | I_mean | I_last |\n" in capsys.readouterr().out


def test_a_metric_with_a_unit_is_not_shown_in_percent(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair(make_run, lost=30, won=6)
    entry = registry.Entry("errors", "tests.help.metric_plugins:Errors", registry.Distribution("acme", "1.5"))
    monkeypatch.setitem(registry.metrics._entries(), "errors", [entry])
    monkeypatch.setenv("CLBENCH_RESULTS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    assert call(["compare", "slca", "ewc", "--metric", "errors", "--json"]) == 0
    mean = json.loads(capsys.readouterr().out)["mean"]
    assert 1 < mean["first"] < mean["second"] < 100
    assert call(["compare", "slca", "ewc", "--metric", "errors"]) == 0
    text = capsys.readouterr().out
    assert f"| mean | {mean['first']:.2f} | {mean['second']:.2f} | {mean['difference']:+.2f} |" in text
    assert "rule cil_seen, errors in percent" in text and "A (slca) is better" in text
    assert call(["leaderboard", "--metric", "errors"]) == 0
    board = capsys.readouterr().out
    assert "ranked by errors, in percent" in board and f"| {mean['first']:.2f} [" in board
    for form in ("latex", "markdown"):
        assert call(["leaderboard", "--metric", "errors", "--format", form]) == 0
        table = capsys.readouterr().out
        assert f"{mean['first']:.2f}" in table and "percent (errors in percent)" in table


def test_the_example_of_its_help_works_on_the_shipped_records(capsys: pytest.CaptureFixture[str]) -> None:
    example = "clbench compare l2:small l2:30d8 results/reference "
    assert example in str(command.epilog)
    folder = ROOT / "results" / "reference" / "split-cifar100-small"
    assert call(["compare", "l2:small", "l2:30d8", str(folder)]) == 0
    assert "A (l2) is better: 95 % interval" in capsys.readouterr().out


def test_an_interval_without_a_width_is_said_to_be_no_evidence(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All 300 images are right in one run and wrong in the other, so every resample of them gives the same."""
    make_run(answers(0, won=300), strategy="slca", seed=0)
    make_run(answers(0, lost=300), strategy="ewc", seed=0)
    assert call(["compare", "slca", "ewc", str(tmp_path / "runs")]) == 0
    text = capsys.readouterr().out
    assert "The interval has no width: every resample" in text and " 0.00 by these images" not in text
