"""`clbench costs`: one table per board, and what must not be compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cl.cli import call
from tests.help.on_disk import write_records
from tests.help.records import build_record

CPU = {"packages": {"clbench": "0.2.0", "torch": "2.8.0"}, "device": "cpu", "processor": "A CPU", "threads": 1}


def test_a_table_names_what_its_costs_were_measured_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    energy = {"processor": 1234.0, "accelerator": 2000.0}
    records = [
        build_record(measurement__environment=CPU, measurement__energy=energy),
        build_record(strategy="ewc", measurement__environment={**CPU, "device": "A GPU"}),
    ]
    write_records(tmp_path, records)
    assert call(["costs", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "1.234 CPU + 2 GPU" in shown and "not measured" in shown
    assert "A CPU (1 thread), float32" in shown and "B: clbench 0.2.0, torch 2.8.0" in shown
    assert "of different letters must not be compared" in shown and "Energy was not measured" not in shown
    assert call(["costs", str(tmp_path), "--filter", "strategy=ewc"]) == 0
    shown = capsys.readouterr().out
    assert "Energy was not measured: no counter could be read" in shown and "different letters" not in shown
    assert call(["costs", str(tmp_path), "--json"]) == 0
    [board] = json.loads(capsys.readouterr().out)
    assert {row["strategy"]: row["processor_joules"] for row in board["rows"]} == {"slca": 1234, "ewc": None}
    assert call(["costs", str(tmp_path), "--filter", "strategy=absent"]) == 2


@pytest.mark.parametrize("width", [45, 70, 100])
def test_it_fits_the_terminal(
    width: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {name: {"value": 10.5, "origin": "command line"} for name in ("learning_rate", "memory", "weight_decay")}
    other = {**CPU, "processor": "A CPU of many words in its name"}
    write_records(tmp_path, [
        build_record(strategy="ewc", measurement__environment=CPU, result__config=config),
        build_record(measurement__environment=other),
    ])  # fmt: skip
    monkeypatch.setenv("COLUMNS", str(width))
    assert call(["costs", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    assert ("TFLOPs: 2" in shown) == (width < 100) and all(word in shown for word in ("memory=10.5", "75.0", "A CPU"))


def test_a_board_of_the_leaderboard_names_them_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_records(tmp_path, [build_record(measurement__environment=CPU)])
    assert call(["leaderboard", str(tmp_path)]) == 0
    assert "Costs measured with clbench 0.2.0, torch 2.8.0, A CPU (1 thread), float32." in capsys.readouterr().out
    assert call(["leaderboard", str(tmp_path), "--columns", "rank,strategy"]) == 0
    assert "Costs measured" not in capsys.readouterr().out
    write_records(tmp_path / "more", [build_record(strategy="ewc", measurement__environment={**CPU, "threads": 2})])
    assert call(["leaderboard", str(tmp_path)]) == 0
    assert "compare no seconds and memory across these" in capsys.readouterr().out
