"""Records, predictions, saved learners and checkpoints of version 0.1.0 are read by today's code."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

import cl
from cl.cli import call
from cl.records.predictions import predictions_sha256, read_predictions
from cl.records.record import load

RUNS = Path(__file__).parents[1] / "help" / "version_0_1_0"
ROUNDING = 2
"""Images per group whose answer another processor or version of PyTorch may change."""


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copies of the two runs, in a folder of results."""
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    shutil.copytree(RUNS, tmp_path / "results")
    return tmp_path / "results"


def test_a_record_and_its_predictions_are_read(runs: Path) -> None:
    record = load(runs / "complete" / "record.json")
    assert record["status"] == "complete" and record["measurement"]["environment"]["packages"]["clbench"] == "0.1.0"
    file = runs / "complete" / "predictions.npz"
    found = read_predictions(file)
    assert found.prediction["cil_seen"].shape == (3, 120)
    assert predictions_sha256(found) == record["result"]["predictions_sha256"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == record["result"]["predictions_sha256"], "not compressed"


def test_boards_show_it(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = cl.load_results(runs / "complete")
    assert results.runs["cil_seen/A_last_sample"][0] == pytest.approx(18 / 72)
    assert call(["leaderboard", str(runs)]) == 0
    shown = capsys.readouterr()
    assert "linear-probe" in shown.out and "limited" in shown.out and "1 unfinished run left out" in shown.err


@pytest.mark.filterwarnings("ignore:.*has changed since")
def test_its_learner_predicts_as_it_did(runs: Path) -> None:
    from cl.streams.digits import digits

    learner, found = cl.load_learner(runs / "complete"), read_predictions(runs / "complete" / "predictions.npz")
    seen = np.flatnonzero(found.group < 3)
    pixels = np.ascontiguousarray(digits().test.pixels[found.rows[seen]].transpose(0, 3, 1, 2))
    answers = learner.predict_images(pixels)[:, :6].argmax(1).numpy()
    assert (answers != found.prediction["cil_seen"][2, seen]).sum() <= ROUNDING


def test_an_interrupted_run_is_resumed_where_it_was(runs: Path) -> None:
    result = cl.resume(runs / "interrupted")
    assert result.status == "complete"
    assert result.record["measurement"]["resumed_from"] == [
        "after event 1",
        "in fit 'train' (call 1 of task 1), epoch 1, step 1",
    ]
    assert result.record["config_hash"] == "8297c30b"
    uninterrupted = load(runs / "complete" / "record.json")
    for rule, tables in uninterrupted["result"]["accuracy"].items():
        rows = result.record["result"]["accuracy"][rule]["correct"]
        assert rows[0] == tables["correct"][0], "the first row comes from the checkpoint"
        for got, before in zip(rows[1:], tables["correct"][1:], strict=True):
            pairs = [(a, b) for a, b in zip(got, before, strict=True) if b is not None]
            assert pairs and all(a is not None and abs(a - b) <= ROUNDING for a, b in pairs)
