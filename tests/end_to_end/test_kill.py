"""kill -9 anywhere, then the same command: the result is the uninterrupted one, bit for bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

GAUNTLET = Path(__file__).parents[1] / "help" / "gauntlet.py"
KILLED = -signal.SIGKILL


def start(folder: Path, *ticks: int) -> list[dict[str, Any]]:
    """Run one process after the other, each killed at its tick; what they printed, as JSON."""
    done = subprocess.run(
        [sys.executable, str(GAUNTLET), str(folder), *map(str, ticks)],
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(line.get("status", 0) in (0, KILLED) for line in found), done.stderr
    return found


def statuses(lines: list[dict[str, Any]]) -> list[int]:
    return [line["status"] for line in lines if "status" in line]


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "record.json").read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    """The uninterrupted run, and how often it passes each place at which a kill can strike."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, start(folder, -1)[0]["ticks"]


def test_the_gauntlet_passes_every_kind_of_place(whole: tuple[Path, dict[str, int]]) -> None:
    _, ticks = whole
    assert {"step", "compute", "predict", "writing", "before record.json", "after record.json"} <= set(ticks)
    assert {"before event.safetensors", "before entry", "after partial.safetensors"} <= set(ticks)
    assert {"before kept", "after kept", "delete kept", "delete entry"} <= set(ticks)


def test_killed_at_random_places_the_result_is_the_same(whole: tuple[Path, dict[str, int]], tmp_path: Path) -> None:
    """One run killed again and again: after every kill the same command, until it gets through."""
    folder, ticks = whole
    rng, total = random.Random(0), sum(ticks.values())
    # a resumed run passes fewer places than a whole one: aim near, so that many kills strike before the end
    found = statuses(start(tmp_path, *(rng.randrange(2, total // 8) for _ in range(14)), -1))
    assert found.count(KILLED) >= 10 and found[-1] == 0
    assert record(tmp_path)["result"] == record(folder)["result"]
    assert record(tmp_path)["result_sha256"] == record(folder)["result_sha256"]
    assert (tmp_path / "predictions.npz").read_bytes() == (folder / "predictions.npz").read_bytes()
    assert record(tmp_path)["measurement"]["resumed_from"]
    assert {path.name for path in tmp_path.iterdir()} == {"record.json", "predictions.npz", "events.jsonl"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_killed_once_anywhere(whole: tuple[Path, dict[str, int]], tmp_path: Path, seed: int) -> None:
    folder, ticks = whole
    tick = random.Random(seed).randrange(sum(ticks.values()))
    assert statuses(start(tmp_path, tick, -1)) == [KILLED, 0]
    assert record(tmp_path)["result"] == record(folder)["result"]
