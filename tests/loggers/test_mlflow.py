"""Curves for MLflow, in files: a resumed run continues its run, and runs share a store."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cl.errors import UsageError
from cl.loggers.mlflow import allowed
from tests.help.loggers import interrupted, run
from tests.help.mlflow_files import client, curves


def test_curves_of_a_resumed_run_equal_those_of_an_uninterrupted_run(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    result = run("mlflow", results=tmp_path / "whole")
    whole = curves(tmp_path / "whole" / "mlruns")
    assert [step for step, _ in whole["loss/task 1/train"]] == list(range(15))
    assert whole["metrics/cil_seen/A_last_sample"][-1] == (2, result.metrics["cil_seen"]["A_last_sample"])

    interrupted("mlflow", results=tmp_path / "parts")
    assert curves(tmp_path / "parts" / "mlruns") == whole
    assert "MLFLOW_ALLOW_FILE_STORE" not in os.environ


def test_runs_share_a_store_and_can_be_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    folder = run("mlflow").folder
    run("mlflow", existing="always")
    found = client(tmp_path / "store")
    first, again = found.search_runs([found.get_experiment_by_name("mine").experiment_id])
    assert first.info.run_id != again.info.run_id, "a run that starts over is another run"
    for each in (first, again):
        assert each.data.params["strategy"] == "dropping" and each.data.params["stream.tasks"] == "2"
        assert each.data.params["seed.order"] == "7" and each.data.tags["clbench.folder"] == str(folder)
    assert not (folder.parents[4] / "mlruns").exists()


def test_names_that_mlflow_refuses_stay_different() -> None:
    assert allowed("loss/task 0/train-2.a_b") == "loss/task 0/train-2.a_b"
    one, two = allowed("accuracy/cil_seen:x/é, b"), allowed("accuracy/cil_seen_x/é, b")
    assert one != two and one.startswith("accuracy/cil_seen_x/__ b ")


def test_without_the_library_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UsageError, match=r"Logger 'mlflow' needs the package mlflow: pip install 'clbench\[mlflow\]'"):
        run("mlflow")
