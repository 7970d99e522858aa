"""`clbench config`: a configuration as resolved, with origins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cl.cli import call
from cl.plan.plan import load_plan, make_plan
from cl.tables import read_toml

Shown = pytest.CaptureFixture[str]
SLCA = ["-s", "slca", "--stream", "split-digits"]


def test_config_prints_values_with_origins_and_writes_a_file_with_the_same_hash(
    capsys: Shown, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLBENCH_SET", "stream.base=2")
    file, arguments = tmp_path / "slca.toml", [*SLCA, "--set", "lr=0.02", "--limit", "3", "--seed", "7"]
    assert call(["config", *arguments, "--output", str(file)]) == 0
    shown = capsys.readouterr()
    plan = make_plan("slca", "split-digits", seed=7, limit=3, options={"lr": 0.02})
    assert plan.config_hash in shown.out and str(plan.folder) in shown.out
    for line in ("lr                      0.02  [command line]", "stream.base             2  [environment]",
                 "stream.train_per_class  3  [--limit]", "momentum                0.9  [default]"):  # fmt: skip
        assert line in shown.out
    assert "[preset slca#" in shown.out and f"clbench run -c {file}" in shown.err
    monkeypatch.delenv("CLBENCH_SET")
    again = make_plan(config_file=file)
    assert again.config_hash == plan.config_hash and again.seeds == plan.seeds and again.folder == plan.folder
    assert call(["config", "-c", str(file), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["config_hash"] == plan.config_hash
    assert about["config"]["lr"] == {"value": 0.02, "origin": "file slca.toml"}


def test_config_takes_every_option_of_run_that_changes_a_configuration() -> None:
    from cl.cli.commands.config import command as config
    from cl.cli.commands.run import command as run

    display = {"progress", "as_json", "quiet", "verbose", "loggers"}
    elsewhere = {"dry_run", "device", "threads", "workers", "jobs", "results", "existing", "checkpoint_every"}
    elsewhere |= {"save_learner", "save_every_task", "save_scores", "profile"}
    elsewhere |= {"device_model", "devices", "utilisation", "speeds_from", "measure", "published"}
    assert {p.name for p in run.params} - display - elsewhere == {p.name for p in config.params} - {
        "runs", "output", "as_json",
    }  # fmt: skip


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """The folders of two runs that were planned but not done."""
    folders = []
    for values in ({"lr": 0.02}, {"lr": 0.03, "stream.tasks": 2}):
        plan = make_plan("slca", "split-digits", options=values)
        plan.folder.mkdir(parents=True)
        (plan.folder / "config.toml").write_text(plan.to_toml(run_id="x"))
        folders.append(plan.folder)
    return folders


def test_config_of_a_run_and_of_two(
    runs: list[Path], capsys: Shown, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLBENCH_SET", "lr=9")  # what was resolved then stays
    monkeypatch.setenv("CLBENCH_PRECISION", "fp32")
    assert call(["config", str(runs[0]), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["config"]["lr"] == {"value": 0.02, "origin": "call"}
    assert about["config_hash"] == load_plan(runs[0]).config_hash == runs[0].parent.name
    assert call(["config", str(runs[0]), str(runs[1]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"lr": [0.02, 0.03], "stream.tasks": [None, 2]}
    assert call(["config", str(runs[0]), str(runs[1])]) == 0
    assert "| lr           | 0.02  | 0.03   |" in capsys.readouterr().out
    assert call(["config", str(runs[0]), str(runs[0])]) == 0
    assert "The same configuration" in capsys.readouterr().out
    copy = tmp_path / "copy.toml"
    assert call(["config", str(runs[0]), "--output", str(copy)]) == 0
    assert read_toml(copy)["options"]["lr"] == 0.02


@pytest.mark.parametrize("text", ["", "# a comment\n", "[run]\n", "[run]\nstrategy = 'slca'\n"])
def test_a_run_with_an_empty_config_is_one_sentence(text: str, runs: list[Path], capsys: Shown) -> None:
    file = runs[0] / "config.toml"
    file.write_text(text)
    lacking = "stream" if "slca" in text else "strategy"
    for command in ("config", "resume"):
        assert call([command, str(runs[0])]) == 2
        shown = capsys.readouterr()
        fix = "restore the file, or repeat the run with `clbench run`."
        assert shown.err == f"Error: {file} lacks {lacking} in [run]; {fix}\n" and shown.out == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-s", "slcaa", "--stream", "split-digits"], "Did you mean slca or slda or slca-pp?"),
        (["-s", "slca"], "Choose a stream with --stream"),
        ([*SLCA, "--set", "lrr=1"], "There is no option 'lrr'"),
        (["."], "holds no run (no config.toml)"),
        ([".", *SLCA], "Give the folder of a run or options such as --strategy, not both."),
        ([".", "--set", "lr=1"], "Give the folder of a run or options such as --set, not both."),
        ([".", ".", "."], "or two to compare them"),
        (["-s", "slca,finetune", "--stream", "split-digits", "--output", "x.toml"], "this is a grid of 2"),
    ],
)
def test_mistakes_in_config_are_one_sentence(arguments: list[str], says: str, capsys: Shown) -> None:
    assert call(["config", *arguments]) == 2
    shown = capsys.readouterr()
    assert says in shown.err and shown.out == "" and not Path("x.toml").exists()
