"""`clbench run --dry-run`: every run is described and nothing is touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cl.cli import call
from cl.plan.run_options import DEFAULT_BACKBONE
from tests.help.toy import QUICK

pytestmark = pytest.mark.usefixtures("toy")


def test_dry_run_describes_and_touches_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call(["run", "-s", "toy", *QUICK, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "2 x 5 classes, 10 in all" in shown
    assert "20 to train on, 20 to test on" in shown
    assert "stream.train_per_class  2  [--limit]" in shown
    assert list(tmp_path.iterdir()) == []

    assert call(["run", "-s", "toy", "--stream", "split-cifar100", "--dry-run", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["state"] == "new"
    assert "CLBENCH_DATA_PATH" in about["stream"]["missing"]
    assert about["backbone"]["parameters"] > 2e6
    assert list(tmp_path.iterdir()) == []
    assert call(["run", "-s", "toy", *QUICK, "--dry-run", "-b", "vit_micro_patch4_33"]) == 2


Shown = pytest.CaptureFixture[str]


def test_a_dry_run_prints_every_run_of_a_grid(capsys: Shown, tmp_path: Path) -> None:
    command = ["run", "-s", "finetune", "--stream", "split-digits", "--limit", "2", "--dry-run", "--json"]
    assert call([*command, "-b", f"test_vit@random,{DEFAULT_BACKBONE}", "--set", "finetune.lr=0.1,0.2"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["backbone"]["name"], each["config"]["lr"]["value"]) for each in found] == [
        (backbone, lr) for backbone in ("test_vit@random", DEFAULT_BACKBONE) for lr in (0.1, 0.2)
    ]
    assert not (tmp_path / "results").exists()
