"""The sum at the end of a dry run: what is left, what is shared, and how long it takes here and elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cl.cli import call
from cl.cli.grid_estimate import flops_text, time_text
from cl.plan.devices import START_SECONDS
from tests.help.toy import QUICK

pytestmark = pytest.mark.usefixtures("toy")

Shown = pytest.CaptureFixture[str]
GRID = ["run", "-s", "finetune,simplecil", *QUICK, "--seed", "1,2", "--precision", "fp32"]


def summed(shown: Shown, *more: str) -> dict[str, Any]:
    assert call([*GRID, "--dry-run", "--json", *more]) == 0
    *runs, last = map(json.loads, shown.readouterr().out.splitlines())
    grid: dict[str, Any] = last["grid"]
    assert len(runs) == 4 and all(run["estimate"]["flops"]["computed"] > 0 for run in runs)
    grid["each"] = runs
    return grid


def test_the_sum_counts_shared_features_once(capsys: Shown) -> None:
    grid = summed(capsys)
    assert grid["runs"] == {"new": 4, "partial": 0, "complete": 0} and grid["unknown_runs"] == 0
    whole = sum(run["estimate"]["flops"]["computed"] for run in grid["each"])
    assert grid["sharing_runs"] == 2 and 0 < grid["flops"]["saved_by_sharing"] == whole - grid["flops"]["left"]
    assert grid["disk_bytes"]["most"] > grid["disk_bytes"]["end"] > 0
    assert grid["here"]["seconds"] is None and grid["here"]["from"] == []


def test_complete_runs_are_not_left_and_show_how_fast_this_machine_is(capsys: Shown) -> None:
    before = summed(capsys)
    assert call(["run", "-s", "finetune", *QUICK, "--seed", "1", "--precision", "fp32", "-q"]) == 0
    capsys.readouterr()
    grid = summed(capsys)
    assert grid["runs"] == {"new": 3, "partial": 0, "complete": 1}
    assert grid["flops"]["left"] < before["flops"]["left"]
    assert grid["here"]["seconds"] > 0 and "1 run of finetune in" in grid["here"]["from"][0]
    alone = sum(run["time"]["here"]["seconds"] for run in grid["each"] if run["time"])
    assert grid["here"]["seconds"] == pytest.approx(alone + START_SECONDS), "one process executes all"


def test_times_on_other_devices_are_a_share_of_their_peak(capsys: Shown) -> None:
    found = summed(capsys, "--device-model", "a100-80,T4", "--devices", "2")["device_models"]
    half = summed(capsys, "--device-model", "T4", "--devices", "2", "--utilisation", "0.15")["device_models"]
    assert list(found) == ["A100-80", "T4"]
    for each in found.values():
        assert each["seconds"] == pytest.approx(max(each["seconds_on_one"] / 2, each["longest_run_seconds"]))
        assert "not measured" in each["known"]
    assert half["T4"]["seconds_on_one"] >= found["T4"]["seconds_on_one"] >= found["A100-80"]["seconds_on_one"]


def test_the_sum_is_printed_for_people(capsys: Shown) -> None:
    assert call([*GRID, "--dry-run", "--device-model", "H200", "--devices", "3"]) == 0
    tail = capsys.readouterr().out.split("\n\n")[-1]
    assert re.search(r"^Grid +4 runs: 4 new$", tail, re.MULTILINE)
    assert re.search(r"^Shared +2 runs share features", tail, re.MULTILINE)
    assert re.search(r"^Time +not known here: 4 runs", tail, re.MULTILINE)
    assert re.search(r"^H200 +about .* on one, .* on 3 \(the longest run: ", tail, re.MULTILINE)
    assert call(["run", "-s", "finetune", *QUICK, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "Grid" not in shown and "Passes" in shown and "Time" in shown


def test_one_run_is_not_said_in_the_plural(capsys: Shown) -> None:
    assert call(["run", "-s", "finetune", "--stream", "split-digits,split-mnist", "--limit", "2", "--dry-run"]) == 3
    tail = capsys.readouterr().out.split("\n\n")[-1]
    assert re.search(r"^Grid +2 runs: ", tail, re.MULTILINE)
    assert re.search(r"^Unknown +in none of the figures below: 1 run whose images are not here$", tail, re.MULTILINE)
    assert re.search(
        r"^Time +not known here: 1 run without a record of the backbone on this device; ", tail, re.MULTILINE
    )


def test_measuring_gives_a_time(capsys: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cl.running.speed.measured", lambda *_, **__: 1e9)
    grid = summed(capsys, "--measure", "--threads", "1")
    assert grid["here"]["from"] == ["measured now, steps of 16 images"]
    left = sum(run["estimate"]["flops"]["computed"] for run in grid["each"])
    assert grid["here"]["seconds"] == pytest.approx(left / 1e9 + START_SECONDS)


def test_every_process_starts_once(capsys: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cl.running.speed.measured", lambda *_, **__: 1e9)
    one = summed(capsys, "--measure", "--threads", "1")["here"]
    two = summed(capsys, "--measure", "--threads", "1", "--jobs", "2")["here"]
    assert (one["start_seconds"], two["start_seconds"]) == (START_SECONDS, 4 * START_SECONDS)
    assert two["seconds"] == pytest.approx((one["seconds"] - START_SECONDS + 4 * START_SECONDS) / 2)
    sweep = ["sweep", *GRID[1:], "--dry-run", "--measure", "--threads", "1", "--json"]
    starts = {}
    for jobs in (1, 2):
        assert call([*sweep, "--jobs", str(jobs)]) == 0
        starts[jobs] = json.loads(capsys.readouterr().out.splitlines()[-1])["grid"]["here"]["start_seconds"]
    assert starts == {1: START_SECONDS, 2: 4 * START_SECONDS}
    assert call([*GRID, "--dry-run", "--measure", "--jobs", "2"]) == 0
    assert re.search(r"^Time .*; 5 seconds to start each of 4 processes\)$", capsys.readouterr().out, re.MULTILINE)


def test_a_partial_run_has_less_left(capsys: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = summed(capsys)["each"][0]["folder"]
    whole = summed(capsys)["flops"]["left"]
    Path(folder).mkdir(parents=True)
    (Path(folder) / "record.json").write_text(
        json.dumps({"status": "running", "measurement": {"flops": {"executed": 1000.0}}})
    )
    monkeypatch.setattr("cl.cli.dry_run._state", lambda plan, *_: (["new", "partial"][str(plan.folder) == folder], []))
    grid = summed(capsys)
    assert grid["runs"]["partial"] == 1 and grid["flops"]["left"] == pytest.approx(whole - 1000, abs=1)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--dry-run", "--devices", "2"], "--devices needs --device-model"),
        (["--dry-run", "--device-model", "Z9"], "Z9 is not known; choose among"),
        (["--measure"], "are for --dry-run"),
    ],
)
def test_mistakes_are_a_sentence(more: list[str], said: str, capsys: Shown) -> None:
    assert call([*GRID, *more]) == 2
    assert said in capsys.readouterr().err


def test_a_device_without_the_precision_is_refused(capsys: Shown) -> None:
    assert call([*GRID, "--precision", "bf16", "--dry-run", "--device-model", "T4"]) == 2
    assert "A T4 does not compute in bf16" in capsys.readouterr().err


def test_numbers_are_readable() -> None:
    assert [flops_text(each) for each in (0, 999, 1234e9, 2.5e22)] == ["0 FLOP", "999 FLOP", "1.23 TFLOP", "25 ZFLOP"]
    assert [time_text(each) for each in (0.01, 42, 5400, 3e5)] == ["0.1 seconds", "42 seconds", "1.5 hours", "3.5 days"]
