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
