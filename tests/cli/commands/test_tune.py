"""`clbench tune`: a study from the command line, continued, shown and used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cl.cli import call

pytest.importorskip("optuna", reason="needs the extra tune")

Shown = pytest.CaptureFixture[str]

SMALL = [
    *("tune", "-s", "finetune", "--stream", "split-digits", "-b", "test_vit@random", "--set", "stream.tasks=5"),
    *("--set", "stream.train_per_class=10", "--set", "epochs=1", "--search", "lr=log(1e-3,1)", "--tasks", "2"),
    *("--threads", "1", "--device", "cpu"),
]


def test_a_study_is_continued_shown_drawn_and_used(tmp_path: Path, capsys: Shown) -> None:
    preset, results = tmp_path / "preset.toml", tmp_path / "results"
    assert call([*SMALL, "--trials", "1"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith('[[preset]]\nstream = "split-digits"') and "lr = " in shown.out
    assert "[1 of 1] trial 0: " in shown.err and "Best of 1: trial 0" in shown.err and "TFLOP" in shown.err
    assert call([*SMALL, "--trials", "3", "--write-preset", str(preset), "--json"]) == 0
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert "[2 of 3]" in shown.err and "[1 of 3]" not in shown.err, "trial 0 was there"
    assert "3 trials of TPE" in preset.read_text() and told["tuning"]["trials"] == 3

    (journal,) = (results / "tune").glob("*.journal")
    assert told["study"] == str(journal)
    assert call(["tune", "show", str(journal), "--json"]) == 0
    trials = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [trial["index"] for trial in trials] == [0, 1, 2] and max(t["value"] for t in trials) == told["value"]
    figures = tmp_path / "figures"
    assert call(["tune", "show", str(journal), "--plot", str(figures), "--theme", "light,dark", "--format", "svg"]) == 0
    assert capsys.readouterr().out.count("trial ") == 3
    assert {"tuning-parallel.svg", "tuning-parallel-dark.svg"} <= {path.name for path in figures.iterdir()}

    assert call(["run", "-c", told["config"], "--max-tasks", "1", "--json", "--threads", "1", "-q"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["measurement"]["tuning"] == told["tuning"]
    assert record["result"]["config"]["lr"]["value"] == told["options"]["lr"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--search", "lr"], "--search takes KEY=VALUE"),
        (["--search", "learning=log(1,2)"], "finetune has no option 'learning'"),
        (["--set", "lr=1"], "lr is given by --set and by --search"),
        (["--executor", "moon"], "There is no executor 'moon'"),
        (["--set", "stream.split=test"], "leave the split of the stream out"),
    ],
)
def test_mistakes_are_one_sentence(more: list[str], says: str, capsys: Shown) -> None:
    assert call([*SMALL, "--trials", "1", *more]) == 2
    assert says in capsys.readouterr().err


def test_a_stopped_study_says_so_and_keeps_its_exit_code(monkeypatch: pytest.MonkeyPatch, capsys: Shown) -> None:
    from cl.running import loop

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_commit", interrupted)
        assert call([*SMALL, "--trials", "1"]) == 130
    assert "Interrupted" in capsys.readouterr().err
    assert call([*SMALL, "--trials", "1"]) == 0


def test_without_optuna_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: Shown) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    assert call([*SMALL, "--trials", "1"]) == 2
    assert "clbench tune needs Optuna: pip install 'clbench[tune]'" in capsys.readouterr().err
