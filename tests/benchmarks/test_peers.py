"""The comparison with Avalanche does the same work on both sides, and refuses a comparison of different work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from benchmarks.peers import ours, theirs, work
from benchmarks.peers.__main__ import main
from benchmarks.peers.pairs import one_pair
from benchmarks.peers.report import read
from benchmarks.peers.work import SAME_WEIGHTS, DifferentWork, Job, Measured, check
from benchmarks.peers.worker import SIDES

JOB = Job("naive", stream="split-digits", tasks=5, train_per_class=4, test_per_class=2, batch_size=4)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def both(job: Job) -> tuple[Measured, Measured]:
    stream = ours.prepare(job)
    mine, other = (side.run(job, stream, lambda: None, tasks=2, in_detail=True) for side in (ours, theirs))
    return mine, other


@pytest.mark.parametrize("method", ["naive", "replay", "ewc", "lwf", "icarl", "slda"])
def test_both_sides_do_the_same_work(method: str) -> None:
    job = replace(JOB, method=method)
    mine, other = both(job)
    check(job, mine, other)
    assert len(mine.accuracy) == len(other.accuracy) == 2
    assert mine.evaluated == other.evaluated == [4, 8]
    if method == "slda":
        assert mine.steps == [0, 0]
    elif method == "icarl":  # the second task also has exemplars of the first, in Avalanche's way
        assert mine.steps == [2, 4] and sum(mine.images[0][:2]) == 8
    else:
        assert mine.steps == [2, 2]
        after = 8 if method == "ewc" else 0  # images of the Fisher information
        per_step = [[4, 4, after], [8, 8, after]] if method == "replay" else [[4, 4, after], [4, 4, after]]
        assert mine.images == other.images == per_step
    if method in SAME_WEIGHTS:
        assert len(mine.weights) == 2  # penalties and teachers act in the second task
        np.testing.assert_allclose(mine.weights, other.weights, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("method", "name"), [("ewc", "EWC_LAMBDA"), ("lwf", "TEMPERATURE")])
def test_another_penalty_on_one_side_is_refused(method: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    job = replace(JOB, method=method)
    stream = ours.prepare(job)
    mine = ours.run(job, stream, lambda: None, tasks=2, in_detail=True)
    monkeypatch.setattr(work, name, {"EWC_LAMBDA": 1e5, "TEMPERATURE": 1.0}[name])
    other = theirs.run(job, stream, lambda: None, tasks=2, in_detail=True)
    with pytest.raises(DifferentWork, match="weights after task 1"):
        check(job, mine, other)


def test_different_work_is_refused() -> None:
    def measured(**changes: Any) -> Measured:
        same: dict[str, Any] = {
            "steps": [2, 2], "evaluated": [100, 200], "accuracy": [0.9, 0.8], "images": [[4, 4], [4, 4]],
            "weights": [np.zeros(3), np.zeros(3)],
        }  # fmt: skip
        return Measured(**{**same, **changes})

    check(JOB, measured(), measured())
    others: dict[str, dict[str, Any]] = {
        "optimiser steps": {"steps": [2, 3]},
        "images evaluated": {"evaluated": [100, 100]},
        "images trained on": {"images": [[4, 4], [8, 8]]},
        "weights": {"weights": [np.zeros(3), np.array([0.0, 2e-4, 0.0])]},
        "accuracy": {"accuracy": [0.9, 0.5]},
    }
    for message, change in others.items():
        with pytest.raises(DifferentWork, match=message):
            check(JOB, measured(**change), measured())
    check(replace(JOB, method="replay"), measured(**others["weights"]), measured())  # draws another memory
    nan = measured(weights=[np.zeros(3), np.array([0.0, np.nan, 0.0])])
    with pytest.raises(DifferentWork, match="weights"):
        check(JOB, nan, measured())


class Player:
    """A worker whose run has `turns` turns; `played` notes which side had the turn."""

    def __init__(self, side: str, turns: int, played: list[str]) -> None:
        self.side, self.left, self.played = side, turns, played

    def begin(self, **arguments: object) -> None: ...

    def step(self) -> Measured | None:
        self.left -= 1
        self.played.append(self.side)
        return None if self.left else Measured()


@pytest.mark.parametrize("first", [0, 1])
def test_sides_take_turns_and_alternate_which_side_is_first(first: int) -> None:
    played: list[str] = []
    players: Any = {side: Player(side, 3, played) for side in SIDES}
    assert set(one_pair(players, first)) == set(SIDES)
    expected = ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert played == (expected if first == 0 else ["theirs", "ours", "ours", "theirs", "theirs", "ours"])


@pytest.mark.slow
def test_program_writes_a_row_per_run_and_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In processes of their own, which take turns."""
    file, plot = tmp_path / "pairs.csv", tmp_path / "pairs.png"
    arguments = (
        f"--only naive --stream split-digits --tasks 2 --train-per-class 2 --test-per-class 1 --pairs 1 "
        f"--batch-size 4 --csv {file} --plot {plot}"
    )
    result = CliRunner().invoke(main, arguments.split())
    assert result.exit_code == 0, result.output
    rows = read(file)
    assert [row["side"] for row in rows] in (["ours", "theirs"], ["theirs", "ours"])
    for row in rows:
        assert row["steps"] == "6" and row["images_evaluated"] == "15"
        assert all(float(row[f"{part}_cpu"]) > 0 for part in ("learn", "evaluation", "whole"))
        assert float(row["whole_cpu"]) >= float(row["learn_cpu"]) + float(row["evaluation_cpu"])
        assert int(row["peak_mb"]) > 100
    assert "naive whole" in result.output


def test_unknown_methods_are_refused() -> None:
    result = CliRunner().invoke(main, ["--only", "naive,agem"])
    assert result.exit_code == 2 and "unknown method 'agem'" in result.output
