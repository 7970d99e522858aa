"""`clbench resume`: runs continue from their folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.cli import call
from cl.records.record import load
from tests.help.small_runs import SMALL


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


def three(tmp_path: Path) -> list[Path]:
    """Folders of three complete runs."""
    assert call(["run", "-s", "simplecil", *SMALL, "--seed", "1,2,3", "-q"]) == 0
    return sorted(path.parent for path in (tmp_path / "results").rglob("record.json"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "lacks strategy in [run]; restore the file, or repeat the run with `clbench run`."),
        ("[run]\nstrategy = 'simplecil'\n", "lacks stream in [run]"),
        ("[run", "is not valid TOML"),
        ("\x00", "is not valid TOML"),
        ("[run]\nstrategy = 'simplecal'\nstream = 'split-digits'\n", "There is no strategy 'simplecal'. Did you mean"),
        ("[run]\nstrategy = 'simplecil'\nstream = 'split-digits'\ncolour = 1\n", "unknown key 'colour'"),
        ("[run]\nstrategy = 'simplecil'\nstream = 'split-digits'\nseed = 'x'\n", "seed must be a whole number"),
        ("[run]\nstrategy = 1\nstream = 'split-digits'\n", "must be"),
        ("run = 1\n", "must be a table"),
    ],
)
def test_a_run_with_a_damaged_config_is_named_and_the_others_continue(
    text: str, says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folders = three(tmp_path)
    file = folders[1] / "config.toml"
    file.write_text(text)
    capsys.readouterr()
    assert call(["resume", str(tmp_path / "results"), "--json", "-q"]) == 2
    shown = capsys.readouterr()
    assert [json.loads(line)["result"]["seeds"]["order"] for line in shown.out.splitlines()] == [1, 3]
    first, last = shown.err.splitlines()
    assert first.startswith("Error: ") and str(file) in first and says in first
    assert last == "1 of 3 runs could not be read; see above."
    assert call(["resume", str(folders[1])]) == 2
    assert capsys.readouterr().err == first + "\n"


def test_an_unfinished_run_without_its_config_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folders = three(tmp_path)
    (folders[0] / "config.toml").unlink()
    (folders[0] / "checkpoint").mkdir()
    capsys.readouterr()
    assert call(["resume", str(tmp_path / "results"), "-q"]) == 2
    assert f"Error: {folders[0]} holds no run (no config.toml)" in capsys.readouterr().err
