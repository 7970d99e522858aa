"""`clbench env`, `clbench config` and `clbench metrics`: what they print is what is."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cl
from cl import registry
from cl.cli import call
from cl.plan.plan import load_plan, make_plan
from cl.protocol import FEW_SHOT
from cl.records.matrix import AccuracyMatrix
from cl.records.metrics import METRICS, compute_all
from cl.records.record import save
from cl.running import environment
from cl.tables import read_toml

Shown = pytest.CaptureFixture[str]
SLCA = ["-s", "slca", "--stream", "split-digits"]


# ------------------------------------------------------------------------------------------------------------------ env


def test_env_says_what_a_bug_report_needs(capsys: Shown, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLBENCH_DATA_PATH", os.pathsep.join([str(tmp_path), str(tmp_path / "nowhere")]))
    monkeypatch.setenv("CLBENCH_DATAPATH", "oops")
    monkeypatch.setenv("CLBENCH_RUN_SEED", "3")
    assert call(["env", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["packages"]["torch"] and found["packages"]["click"] and "mypy" not in found["packages"]
    assert found["devices"]["threads"] >= 1
    assert [(folder["use"], folder["exists"]) for folder in found["folders"]] == [
        ("cache", False), ("data", True), ("data", False), ("results", False),
    ]  # fmt: skip
    assert found["folders"][0]["path"] == str(tmp_path / "home") and found["folders"][0]["free"] > 0
    assert set(found["offline"].values()) == {True}
    assert found["variables"]["CLBENCH_RUN_SEED"] == "3"
    assert call(["env"]) == 0
    shown = capsys.readouterr().out
    assert f"data    {tmp_path / 'nowhere'} (does not exist, " in shown
    assert "CLBENCH_DATAPATH=oops  (not a variable of clbench. Did you mean CLBENCH_DATA_PATH" in shown
    assert "CLBENCH_RUN_SEED=3\n" in shown


def test_env_names_plugins_and_collisions(plugin: Any, capsys: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"clbench.strategies": {"acme/one": "acme_m:One", "slca": "acme_m:Two"}}
    plugin("acme", {"acme_m": "class One: pass"}, points)
    monkeypatch.setattr(registry, "strategies", registry.Registry("clbench.strategies", "strategy"))
    assert call(["env", "--json"]) == 0
    plugins = json.loads(capsys.readouterr().out)["plugins"]
    assert plugins["acme 1.5"] == ["strategy acme/one"]
    assert "is provided by" in plugins["collisions"][0]


def test_env_survives_a_missing_torch(capsys: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # `import torch` raises ImportError
    real = environment.metadata.version

    def version(name: str) -> str:
        if name == "torch":
            raise environment.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(environment.metadata, "version", version)
    assert call(["env"]) == 0
    shown = capsys.readouterr().out
    assert "error ModuleNotFoundError" in shown or "error ImportError" in shown
    assert "  torch " not in shown and "  numpy " in shown


# --------------------------------------------------------------------------------------------------------------- config


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
    elsewhere |= {"save_learner"}
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


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-s", "slcaa", "--stream", "split-digits"], "Did you mean slca?"),
        (["-s", "slca"], "Choose a stream with --stream"),
        ([*SLCA, "--set", "lrr=1"], "There is no option 'lrr'"),
        (["."], "holds no run (no config.toml)"),
        ([".", *SLCA], "Give the folder of a run or options such as --strategy, not both."),
        ([".", ".", "."], "or two to compare them"),
        (["-s", "slca,finetune", "--stream", "split-digits", "--output", "x.toml"], "this is a grid of 2"),
    ],
)
def test_mistakes_in_config_are_one_sentence(arguments: list[str], says: str, capsys: Shown) -> None:
    assert call(["config", *arguments]) == 2
    shown = capsys.readouterr()
    assert says in shown.err and shown.out == "" and not Path("x.toml").exists()


# -------------------------------------------------------------------------------------------------------------- metrics


def test_metrics_explain_themselves(capsys: Shown) -> None:
    assert call(["metrics"]) == 0
    shown = capsys.readouterr().out
    for metric in METRICS.values():
        assert f"{metric.id}: {metric.title}\n    formula  {metric.formula}\n    source   {metric.source}\n" in shown
    assert call(["metrics", "F_local_rf"]) == 0
    assert "range    -1 to 1, higher is better; needs local" in capsys.readouterr().out
    assert call(["metrics", "BWT", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["range"] == [-1.0, 1.0]
    assert call(["metrics", "F_chaudry"]) == 2
    assert "There is no metric and no run 'F_chaudry'. Did you mean F_chaudhry?" in capsys.readouterr().err


def test_values_lie_in_the_range_that_is_printed() -> None:
    rng, reached = np.random.default_rng(0), dict.fromkeys(METRICS, 1.0)
    for trial in range(300):
        steps, count = int(rng.integers(2, 5)), 4
        extreme = rng.choice([0, count], (steps, steps)) if trial % 2 else rng.integers(0, count + 1, (steps, steps))
        matrix = AccuracyMatrix.of(extreme.astype(float), [count] * steps)
        fractions = rng.integers(0, 2, steps).astype(float)
        values = compute_all(matrix, baseline=fractions, reference=fractions, local=matrix, setting=FEW_SHOT)
        for name, value in values.items():
            if value is not None:
                assert METRICS[name].lowest <= value <= 1
                reached[name] = min(reached[name], value)
    assert {name for name, value in reached.items() if value < 0} == {
        metric.id for metric in METRICS.values() if metric.lowest < 0
    }


def test_metrics_of_a_run_come_from_its_counts(tmp_path: Path, capsys: Shown) -> None:
    reference = sorted((Path(cl.__file__).parent.parent / "results" / "reference").rglob("record.json"))
    if not reference:
        pytest.skip("needs the records of the repository")
    record = json.loads(reference[0].read_text())
    assert call(["metrics", str(reference[0].parent), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == record["result"]["metrics"]
    record["result"]["metrics"]["cil_seen"]["A_last_sample"] = 0.123
    save(record, tmp_path / "record.json")
    assert call(["metrics", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert "The record says 0.123000 for A_last_sample, cil_seen." in shown.err
    assert "| A_last_sample " in shown.out and "0.123000" not in shown.out
    (tmp_path / "empty").mkdir()
    assert call(["metrics", str(tmp_path / "empty")]) == 2
    assert "holds no record.json" in capsys.readouterr().err
