"""Curves for Weights & Biases, offline: a resumed run continues its run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cl.errors import UsageError
from cl.loggers.wandb import reported
from tests.help.loggers import interrupted, run
from tests.help.wandb_files import curves, runs


def test_curves_of_a_resumed_run_equal_those_of_an_uninterrupted_run(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    result = run("wandb", results=tmp_path / "whole")
    whole = curves(result.folder)
    assert [step for step, _ in whole["loss/task 1/train"]] == list(range(15))
    last = result.metrics["cil_seen"]["A_last_sample"]
    assert [step for step, _ in whole["metrics/cil_seen/A_last_sample"]] == [1, 2]
    assert whole["metrics/cil_seen/A_last_sample"][-1] == (2, last)
    (about,) = {(each.run_id, each.project) for each in runs(result.folder)}
    assert about[1] == "clbench"

    folder = interrupted("wandb", results=tmp_path / "parts")
    assert len(list((folder / "wandb").glob("offline-run-*"))) == 3
    assert curves(folder) == whole
    assert len({each.run_id for each in runs(folder)}) == 1


def test_a_run_that_starts_over_is_another_run(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    first = {each.run_id for each in runs(run("wandb").folder)}
    assert first.isdisjoint({each.run_id for each in runs(run("wandb", existing="always").folder)})


def test_what_a_kill_cut_off_is_no_number(tmp_path: Path) -> None:
    assert reported(tmp_path / "none") == ("", {}, 0)
    file = tmp_path / "clbench.txt"
    file.write_text("abc\n0\tloss/a b\n3\tloss/a b\n1\tx\n9\tlo")
    assert reported(file) == ("abc", {"loss/a b": 3, "x": 1}, 3)
    file.write_text("ab")
    assert reported(file) == ("", {}, 0)


def test_without_the_library_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UsageError, match=r"Logger 'wandb' needs the package wandb: pip install 'clbench\[wandb\]'\."):
        run("wandb")
