"""Lost nodes, lost disks and crowds, and what counts as a fault there."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from cl.leases import _started, acquire, holder
from cl.training import state
from tests.help.leases import ELSEWHERE, leave
from tools.soak import shared
from tools.soak.scenarios import SCENARIOS, Workshop
from tools.soak.server import Strike, clbench, together


@pytest.mark.parametrize("number", [0, 1])
def test_a_run_outlasts_its_node_and_its_disk(workshop: Workshop, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "starts", lambda rng, seconds: [0.0])
    outcome = shared.attempt(workshop, number, seed=0)
    assert (outcome.verdict, outcome.count) == ("equal", 1), outcome.why


@pytest.mark.slow
def test_eight_processes_with_a_cold_cache(workshop: Workshop) -> None:
    outcome = shared.attempt(workshop, 2, seed=0)
    assert (outcome.verdict, outcome.count) == ("equal", shared.PROCESSES), outcome.why


def test_a_run_that_another_node_took_over_is_refused_here(workshop: Workshop) -> None:
    workshop.scenario = SCENARIOS["toml"]
    workshop.enter("warm")
    changes = workshop.whole.ticks["change"]
    done = workshop.run(workshop.command(), Strike("change", changes // 2))
    assert done.struck and shared.move_elsewhere(workshop.work) >= 1
    [left] = workshop.folder.glob(".lock.*")
    found = holder(workshop.folder / ".lock")
    assert found is not None and (found.host, found.alive) == ("elsewhere", None)
    number = int(left.suffix[1:]) + 1
    leave(workshop.folder / ".lock", number, pid=1, started=_started(1))  # a living process of this machine
    refused = workshop.run(shared.quick(workshop.command()))
    assert refused.code == 1 and "Another process is running" in refused.err


def test_leases_are_found_and_moved(tmp_path: Path) -> None:
    mine = acquire(tmp_path / "a")
    leave(tmp_path / "b", **ELSEWHERE)
    (tmp_path / "other").write_text("{}")
    assert len(shared.leases_in(tmp_path)) == 2 and shared.move_elsewhere(tmp_path) == 2
    found = holder(tmp_path / "a")
    assert found is not None and found.host == "elsewhere"
    assert mine.file.read_bytes().endswith(b"\n00000000000000000000\n")


def test_blocks_that_were_computed_twice_are_found(tmp_path: Path) -> None:
    for name, blocks in (("1-1", [0, 1]), ("2-1", [2]), ("3-1", [1, 2, 3])):
        state.save(tmp_path / "key" / f"{name}.safetensors", {"blocks": torch.tensor(blocks)})
    assert shared.computed_twice(tmp_path) == 2


def test_a_crowd_whose_run_differs_or_is_started_twice_is_a_failure(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "SEEDS", "1")
    monkeypatch.setattr(shared, "_ALONE", {})
    monkeypatch.setattr(shared, "PROCESSES", 1)
    assert shared.crowd(workshop, random.Random(0))[0] == "equal"
    whole = next(iter(shared._ALONE.values()))
    twice = clbench([*SCENARIOS["simplecil"].command("--seed", "1"), "--existing", "always"])

    def again() -> int:
        code = twice()
        log = next(Path("results").rglob("log.txt"))
        log.write_text(log.read_text() * 2)
        return code

    monkeypatch.setattr(shared, "_later", lambda command, delay: again)
    assert shared.crowd(workshop, random.Random(0))[1] == "runs were started [2] times"
    next(iter(whole.values()))[0].clear()
    assert shared.crowd(workshop, random.Random(0))[0] == "silent"


def test_commands_run_together(tmp_path: Path) -> None:
    def meet(mine: str, other: str) -> int:
        Path(mine).touch()
        while not Path(other).exists():
            pass
        print(mine)
        return 3

    ended = together([lambda: meet("a", "b"), lambda: meet("b", "a")], tmp_path)
    assert [(each.code, each.out) for each in ended] == [(3, "a\n"), (3, "b\n")]
