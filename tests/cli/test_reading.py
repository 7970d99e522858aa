"""Commands that read results: a bad record is named, counted and left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.cli import call
from tests.help.on_disk import write_records

Make = Callable[..., dict[str, Any]]

COMMANDS: dict[str, list[str]] = {
    "leaderboard": [],
    "report": ["--out", "OUT/report.html"],
    "plot": ["--kind", "curves", "--format", "json", "--out", "OUT"],
    "export": [],
    "compare": ["slca", "ewc", "--results"],
}


def command(name: str, folder: Path, out: Path) -> list[str]:
    more = [each.replace("OUT", str(out)) for each in COMMANDS[name]]
    return [name, *more, str(folder)]


@pytest.fixture
def folder(make_record: Make, tmp_path: Path) -> Path:
    """Two complete runs of two strategies in 0 to 3, and a damaged and an edited record in 4 and 5."""
    records = [make_record(strategy=strategy, seed=seed) for strategy in ("slca", "ewc") for seed in (0, 1)]
    write_records(tmp_path / "runs", [*records, make_record(seed=2), make_record(seed=3)])
    (tmp_path / "runs" / "4" / "record.json").write_text("[" * 100_000)
    edited = tmp_path / "runs" / "5" / "record.json"
    edited.write_text(edited.read_text().replace('"limited": false', '"limited": true'))
    return tmp_path / "runs"


@pytest.mark.parametrize("name", COMMANDS)
def test_bad_records_are_named_once_and_the_rest_is_shown(
    name: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(command(name, folder, tmp_path)) == 0
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert lines[0].startswith(
        f"Left out: {folder / '4' / 'record.json'} is no clbench record: it is nested too deeply"
    )
    assert lines[1].startswith(f"Left out: {folder / '5' / 'record.json'} is damaged or was edited")
    assert lines[2] == "2 of 6 records left out."
    assert shown.err.count("Left out") == 2 and "Traceback" not in shown.err
    assert shown.out
    if name == "report":
        assert "; 2 records could not be read." in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_readable_is_missing_data(
    name: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in folder.rglob("record.json"):
        path.write_text('{"schema_version": "9.0"}')
    assert call(command(name, folder, tmp_path)) == 3
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("written by a newer clbench") == 6
    assert shown.err.splitlines()[-1] == ("Error: None of 6 records here can be read; the lines above name the fixes.")


def test_ten_bad_records_are_named_and_the_rest_is_counted(
    make_record: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_records(tmp_path / "runs", [make_record(seed=seed) for seed in range(14)])
    for number in range(2, 14):
        (tmp_path / "runs" / str(number) / "record.json").write_text("")
    assert call(["export", str(tmp_path / "runs"), "--out", str(tmp_path / "all.csv")]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if "record.json is not valid JSON" in line]) == 10
    assert lines[10:] == [
        "Left out: 2 more records could not be read either.",
        "12 of 14 records left out.",
        f"Wrote {len((tmp_path / 'all.csv').read_text().splitlines()) - 1} rows of 2 runs to {tmp_path / 'all.csv'}.",
    ]


def test_json_stays_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["leaderboard", str(folder), "--json"]) == 0
    assert [row["n_seeds"] for row in json.loads(capsys.readouterr().out)] == [2, 2]


@pytest.mark.parametrize("name", ["leaderboard", "report", "compare"])
def test_damaged_predictions_are_named_and_not_used(
    name: str, make_run: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = np.random.default_rng(0).random((3, 120)) < 0.6
    runs = [make_run(right, strategy=strategy) for strategy in ("slca", "ewc")]
    damaged, missing = (run.folder / "predictions.npz" for run in runs)
    whole = bytearray(damaged.read_bytes())
    whole[len(whole) // 2] ^= 1
    damaged.write_bytes(whole)
    missing.unlink()
    folder = runs[0].folder.parents[1]
    assert call(command(name, folder, tmp_path)) == 0
    shown = capsys.readouterr()
    assert shown.err.count(f"{damaged}") == 1 and "run it again with --existing always" in shown.err
    assert str(missing) not in shown.err
    if name == "leaderboard":
        assert "1 run has no predictions.npz" in shown.err
        assert "predictions of 1 run are damaged and not used" in shown.out
    if name == "compare":
        assert "One seed and no predictions: there is no interval." in shown.out
