"""From Python and over several runs: what `cl.run` gives, grids, leaderboards of real records, resuming folders."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import cl
from cl.cli import call
from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.records.record import load

SETTINGS: dict[str, Any] = {"stream.tasks": 2, "stream.train_per_class": 6, "backbone.image_size": 32}
SMALL = ["--stream", "split-digits", "--backbone", "test_vit@random"]
SMALL += [text for key, value in SETTINGS.items() for text in ("--set", f"{key}={value}")]


def run(**settings: Any) -> cl.RunResult:
    return cl.run("simplecil", "split-digits", backbone="test_vit@random", options={**SETTINGS, **settings}, seed=7)


def test_a_run_gives_frames_and_a_learner_that_predicts(tmp_path: Path) -> None:
    result = run()
    assert isinstance(result, cl.RunResult) and result.status == "complete"
    assert result.record == load(result.folder / "record.json")
    frame = result.accuracy
    assert isinstance(frame, pd.DataFrame)
    assert list(frame["rule"].unique()) == ["cil_seen", "til_masked"]
    last = frame.query("rule == 'cil_seen' and row == 1")
    assert result.metrics["cil_seen"]["A_last_sample"] == pytest.approx(last["correct"].sum() / last["count"].sum())
    assert result.table().startswith("simplecil on split-digits")

    # The learner is the one that was measured: on the test images it repeats the counts of the last row.
    from cl.streams.digits import digits

    test, order = digits().test, result.record["result"]["stream"]["class_order"]
    scores = result.learner.predict_images(torch.from_numpy(test.pixels.transpose(0, 3, 1, 2).copy()))
    assert scores.shape == (450, 10)
    assert (torch.tensor(order)[scores.argmax(1)].numpy() == test.labels).sum() == last["correct"].sum()
    with pytest.raises(UsageError, match="takes uint8 images"):
        result.learner.predict_images(torch.zeros(1, 1, 8, 8))


def test_results_of_a_folder_are_frames() -> None:
    run()
    found = cl.load_results(Path(make_plan("simplecil", "split-digits").results))
    assert isinstance(found.runs, pd.DataFrame) and len(found.runs) == 1
    assert found.runs.loc[0, "config_hash"] == Path(str(found.runs.loc[0, "folder"])).parent.name
    assert len(found.accuracy) == 2 * 3


def test_results_in_long_form_filtered_and_ranked(tmp_path: Path) -> None:
    for seed in (1, 2):
        for size in (5, 6):
            cl.run(
                "simplecil", "split-digits", backbone="test_vit@random", seed=seed,
                options={**SETTINGS, "stream.train_per_class": size},
            )  # fmt: skip
    results = cl.load_results()  # where results go
    assert len(results) == 4 and repr(results) == "Results(4 runs)"
    one = results.metrics.query("run == 2 and rule == 'cil_seen' and metric == 'A_last_sample'")
    assert one["value"].tolist() == [results.runs.loc[2, "cil_seen/A_last_sample"]]
    assert one[["stream", "strategy", "seed_data"]].values.tolist() == [["split-digits", "simplecil", one.iloc[0, 7]]]
    assert not results.metrics["value"].isna().any()

    hashes = results.runs["config_hash"].unique().tolist()
    chosen = results.filter(config_hash=hashes[1], seed_order=[2, 3])
    assert len(chosen) == 1 and chosen.files == tuple(
        path for path in results.files if path.parts[-3:-1] == (hashes[1], "seed2")
    )
    assert chosen.runs.index.tolist() == [0] and set(chosen.accuracy["run"]) == set(chosen.metrics["run"]) == {0}
    assert len(results.filter(strategy="slca")) == 0 == len(results.filter(strategy="slca").metrics)
    with pytest.raises(UsageError, match=r"runs have no column 'stategy'\. Did you mean strategy"):
        results.filter(stategy="slca")
    assert results.leaderboard()["n_seeds"].tolist() == [2, 2]
    html = results._repr_html_()
    assert html.count("<td>simplecil</td>") == 4 and "A_last_sample" in html
    last = float(results.runs["cil_seen/A_last_sample"].iloc[3])
    assert f"<td>{last:.4f}</td>" in html


def test_reading_results_imports_no_torch() -> None:
    run()
    code = "import sys, cl; found = cl.load_results(); found.metrics, found.leaderboard(), found._repr_html_(); "
    code += "print(len(found), 'torch' in sys.modules, cl.registry.strategies.names()[-1])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[:2] == ["1", "False"], done.stdout


def test_a_result_names_itself_and_its_classes() -> None:
    result = run()
    assert repr(result) == f"RunResult(complete, {str(result.folder)!r})"
    assert result.class_names == result.learner.info.class_names and len(result.class_names) == 10
    assert result.table() in result._repr_html_()


def test_a_name_registered_at_run_time_may_be_replaced() -> None:
    from cl.strategies.simplecil import SimpleCIL

    names = cl.registry.strategies
    names.register("mine", SimpleCIL)
    try:
        other = type("Other", (SimpleCIL,), {})
        with pytest.raises(UsageError, match="exists already"):
            names.register("mine", other)
        names.register("mine", other, replace=True)
        assert names.get("mine") is other
        with pytest.raises(UsageError, match="exists already"):
            names.register("simplecil", other, replace=True)
    finally:
        names.unregister("mine")


PYTHON_API = Path(__file__).resolve().parents[2] / "docs" / "python-api.md"


def test_the_snippets_of_the_python_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLBENCH_RESULTS")
    blocks = re.findall(r"^```python\n(.*?)^```", PYTHON_API.read_text(encoding="utf-8"), re.S | re.M)
    names: dict[str, Any] = {}
    try:
        for number, block in enumerate(blocks):
            exec(compile(block, f"{PYTHON_API.name}, block {number}", "exec"), names)
    finally:
        cl.registry.strategies.unregister("ridge")
    shown = capsys.readouterr()
    assert len(blocks) == 7 and "Did you mean simplecil" in shown.out and "complete already" in shown.err
    assert len(names["names"]) == 4 and len(cl.load_results()) == 2


def test_mistakes_are_exceptions_with_the_same_sentences() -> None:
    with pytest.raises(UsageError, match=r"There is no strategy 'slcaa'\. Did you mean slca\?"):
        cl.run("slcaa", "split-digits")
    with pytest.raises(UsageError, match=r"stream\.tasks must be at least 1"):
        run(**{"stream.tasks": 0})


def test_a_grid_goes_on_after_a_failing_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    one = ["--set", "stream.train_per_class=1", "--set", "epochs=1"]
    assert call(["run", "-s", "slca", "-s", "simplecil", *SMALL, *one[:2], "--progress", "none"]) == 2
    shown = capsys.readouterr()
    assert "too few for a covariance" in shown.err and "(slca on split-digits, test_vit@random, seed 1993)" in shown.err
    assert "simplecil on split-digits" in shown.out and "[2/2] simplecil" in shown.err
    status = {path.parts[-5]: load(path)["status"] for path in (tmp_path / "results").rglob("record.json")}
    assert status == {"slca": "failed", "simplecil": "complete"}


def test_the_leaderboard_of_real_records(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command = ["run", *SMALL, "--seed", "1,2", "-q"]
    assert call([*command, "-s", "simplecil"]) == 0
    assert call([*command, "-s", "linear-probe,finetune", "--set", "epochs=1"]) == 0
    capsys.readouterr()
    table = tmp_path / "board.csv"
    assert call(["leaderboard", str(tmp_path / "results"), "--csv", str(table)]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0].endswith("on test_vit@random, rule cil_seen, ranked by A_last_sample")
    rows = list(csv.DictReader(table.open()))
    assert {row["strategy"]: (row["n_seeds"], row["seeds"], row["board"]) for row in rows} == dict.fromkeys(
        ("simplecil", "linear-probe", "finetune"), ("2", "1 2", "1")
    )
    for row in rows:
        records = [load(path) for path in tmp_path.rglob(f"{row['strategy']}/*/{row['config_hash']}/*/record.json")]
        values = [record["result"]["metrics"]["cil_seen"]["A_last_sample"] for record in records]
        assert len(values) == 2 and float(row["mean"]) == pytest.approx(sum(values) / 2)
        assert row["strategy"] in shown and f"{50 * sum(values):.2f}" in shown
    assert [float(row["mean"]) for row in rows] == sorted((float(row["mean"]) for row in rows), reverse=True)


def test_resume_continues_every_run_below_a_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cl.strategies.simplecil import SimpleCIL

    learn: Callable[..., None] = SimpleCIL.learn

    def stop(self: SimpleCIL, view: Any) -> None:
        if view.task == 1 and self.trainer.seeds.order == 2:
            raise KeyboardInterrupt
        learn(self, view)

    monkeypatch.setattr(SimpleCIL, "learn", stop)
    assert call(["run", "-s", "simplecil", *SMALL, "--seed", "1,2,3", "-q"]) == 130
    monkeypatch.setattr(SimpleCIL, "learn", learn)
    folders = sorted(path.parent for path in (tmp_path / "results").rglob("record.json"))
    assert [(path.name, load(path / "record.json")["status"]) for path in folders] == [
        ("seed1", "complete"),
        ("seed2", "partial"),
    ]
    capsys.readouterr()
    assert call(["resume", str(tmp_path / "results"), "--json", "-q"]) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["status"], each["result"]["seeds"]["order"]) for each in shown] == [("complete", 1), ("complete", 2)]
    assert [bool(each["measurement"]["resumed_from"]) for each in shown] == [False, True]
    assert call(["resume", str(folders[0])]) == 0
    assert "complete already" in capsys.readouterr().err


def test_settings_still_work_with_one_warning() -> None:
    with pytest.warns(FutureWarning, match="`settings` is now called `options`") as warned:
        old = cl.run("simplecil", "split-digits", backbone="test_vit@random", settings=SETTINGS, seed=7)
    assert [Path(each.filename) for each in warned] == [Path(__file__)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        new = cl.run("simplecil", "split-digits", backbone="test_vit@random", options=SETTINGS, seed=7)
    assert new.folder == old.folder and new.record == old.record
