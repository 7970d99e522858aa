"""A stream with several classes per image, from the command line: refused, learned, killed, resumed, and shown."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cl
from cl.cli import call
from cl.results.pareto import pareto_table
from cl.results.plots import KINDS, plots_of
from tests.help.declared import pack
from tests.help.releases import written

TEXT = """name = "mixed"
setting = "task-incremental"
size = 16
missing = "skip"
[[datasets]]
name = "grey"
reader = "pack"
files = ["grey.npz"]
[[datasets]]
name = "voc"
reader = "official"
release = "voc_2007"
splits = "nevis"
"""
QUICK = [
    *("-b", "test_vit@random", "--threads", "1", "-q", "--checkpoint-every", "0"),
    *("--set", "steps=2", "--set", "validate_every=1", "--set", "trials=2", "--set", "batch_size=8"),
    *("--set", "stream.val_fraction=0.25", "--set", "augment=none"),
]
DIES = """
import os, signal, sys
from cl.bases.network_per_task import NetworkPerTask
train = NetworkPerTask._train
def dying(self, view, val, number, **trial):
    if view.task == 1 and number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return train(self, view, val, number, **trial)
NetworkPerTask._train = dying
from cl.cli import call
sys.exit(call(sys.argv[1:]))
"""


@pytest.fixture
def stream(tmp_path: Path, isolated: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """A task of grey images with one class each, then the miniature of PASCAL VOC 2007."""
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(data))
    monkeypatch.chdir(tmp_path)
    pack(data / "grey.npz", ("dog", "cat"), 8, 1)
    written("voc_2007", data)
    (tmp_path / "mixed.toml").write_text(TEXT)
    return str(tmp_path / "mixed.toml")


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.rglob("record.json"))]


def test_other_methods_are_refused_before_data_is_read(stream: str, capsys: pytest.CaptureFixture[str]) -> None:
    for more in ([], ["--dry-run"]):
        assert call(["run", "-s", "finetune", "--stream", stream, *more]) == 2
        said = capsys.readouterr().err
        assert "finetune learns one class per image, and images of voc of " in said
        assert "leave such tasks out with --set stream.multi_label=skip" in said and "Traceback" not in said
    assert call(["run", "-s", "finetune", "--stream", stream, "--set", "stream.multi_label=skip", "--dry-run"]) == 0
    assert "1 x 2 classes" in capsys.readouterr().out


def test_info_and_dry_run_say_what_is_measured_how(stream: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["info", stream]) == 0
    assert "Several classes per image, measured by mean average precision (mAP): voc." in capsys.readouterr().out
    assert call(["run", "-s", "independent", "--stream", stream, "--dry-run", *QUICK]) == 0
    assert "several per image in 1 of 2 tasks, measured by mAP: voc" in capsys.readouterr().out


def test_a_killed_run_goes_on_to_the_same_result(
    stream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "-s", "finetune-dynamic", "--stream", stream, "--save-scores", *QUICK]
    done = subprocess.run(
        [sys.executable, "-c", DIES, *command], env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [each["status"] for each in records(tmp_path / "results")] == ["partial"]
    assert call(command) == 0
    monkeypatch.setenv("CLBENCH_RESULTS", str(tmp_path / "whole"))
    assert call(command) == 0
    [killed], [whole] = records(tmp_path / "results"), records(tmp_path / "whole")
    assert killed["measurement"]["resumed_from"] and not whole["measurement"]["resumed_from"]
    assert killed["result"] == whole["result"]
    assert 0 < whole["result"]["mean_precision"]["til_oracle"][-1][1] < 1
    monkeypatch.setenv("CLBENCH_RESULTS", str(tmp_path / "again"))
    assert call(["run", "-s", "finetune-dynamic", "--stream", stream, *QUICK, "--max-tasks", "1"]) == 0
    [first] = records(tmp_path / "again")
    assert first["result"]["mean_precision"]["til_oracle"][-1] == [None, None]


def test_progress_and_table_say_what_is_measured_by_map(
    stream: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, _, voc = TEXT.split("[[datasets]]")
    (tmp_path / "one.toml").write_text(f"{head}[[datasets]]{voc}")
    command = ["run", "-s", "independent", *[each for each in QUICK if each != "-q"], "--progress", "plain", "--stream"]
    assert call([*command, stream]) == 0
    shown = capsys.readouterr()
    assert " 2 classes, accuracy " in shown.err and " 22 classes, mean of accuracy and mAP " in shown.err
    assert "mean average precision (mAP) where it says so, else accuracy in percent" in shown.out
    assert "|after task | 1 |2 mAP | A_t |" in " ".join(shown.out.split())
    assert call([*command, str(tmp_path / "one.toml")]) == 0
    shown = capsys.readouterr()
    assert " 20 classes, mAP " in shown.err and "accuracy" not in shown.err
    assert "mean average precision (mAP) in percent" in shown.out and "accuracy" not in shown.out


def test_leaderboards_figures_and_reports_show_such_runs(
    stream: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "results")
    assert call(["run", "-s", "independent,finetune-previous", "--stream", stream, "--seed", "1,2", *QUICK]) == 0
    table = cl.load_results(folder)
    board = table.leaderboard(metric="E_own")
    assert len(board) == 2 and board["mean"].notna().all() and set(board["drawn"]) == {"seeds"}
    counted = table.leaderboard(metric="A_last_sample")
    assert set(counted["drawn"]) == {"seeds x images"}, "only images with one class enter it"
    front = pareto_table(table.records)
    assert front["error"].tolist() == pytest.approx(
        [1 - sum(_accuracies(table, name)) / 4 for name in front["strategy"]], abs=1e-9
    )
    kinds = {plot.kind for plot in plots_of(table.records, [*KINDS])}
    assert {"curves", "matrix", "nevis", "transfer", "cost", "stream"} <= kinds
    capsys.readouterr()
    for command in (
        ["leaderboard", folder, "--metric", "E_own"], ["leaderboard", folder], ["report", folder],
        ["compare", "independent", "finetune-previous", "--results", folder, "--metric", "E_own"],
        ["plot", folder], ["export", folder, "--table", "accuracy", "--out", str(tmp_path / "out.csv")],
        ["metrics", str(next(tmp_path.rglob("record.json")).parent)],
    ):  # fmt: skip
        assert call(command) == 0, (command, capsys.readouterr().err)
    assert "voc" in (tmp_path / "out.csv").read_text()


def _accuracies(table: Any, strategy: str) -> list[float]:
    """Accuracy or mean average precision of both tasks right after training, for both seeds."""
    found = []
    for each in table.records:
        if each["result"]["strategy"]["name"] == strategy:
            tables, own = each["result"]["accuracy"]["til_oracle"]["correct"], each["result"]["mean_precision"]
            found += [tables[0][0] / each["result"]["count"][0], own["til_oracle"][1][1]]
    return found
