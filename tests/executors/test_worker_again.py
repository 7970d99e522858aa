"""Runs whose process was lost: how they continue, and records that another machine has written."""

from __future__ import annotations

from typing import Any

import pytest

from cl.errors import DataError
from cl.executors import worker
from cl.executors.base import Outcome
from cl.executors.local import LocalExecutor
from cl.plan.plan import Plan, make_plan
from cl.running.result import RunResult


def plan() -> Plan:
    return make_plan("simplecil", "split-digits", seed=1)


def test_a_repeated_run_continues_unless_its_record_may_be_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = [None]
    monkeypatch.setattr(worker, "complete_record", lambda folder: found[0])
    modes = ("only-missing", "skip-running", "never", "always")
    assert [worker.continued(plan(), each) for each in modes] == ["only-missing", "skip-running", *["only-missing"] * 2]
    found[0] = {"status": "complete"}
    assert [worker.continued(plan(), each) for each in modes][-2:] == ["only-missing", "always"]


def test_a_repeated_run_waits_for_the_folder_of_its_lost_process(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    outcomes = [Outcome(plan(), error="busy", exit_code=1, in_use=True)] * 2 + [Outcome(plan())]
    monkeypatch.setattr(worker, "perform", lambda *_: outcomes.pop(0))
    monkeypatch.setattr(worker.time, "sleep", slept.append)
    assert worker.perform_again(plan(), LocalExecutor(), print).error == "" and len(slept) == 2
    outcomes += [Outcome(plan(), error="busy", exit_code=1, in_use=True), Outcome(plan())]
    monkeypatch.setattr(worker, "LEASE", 0.0)
    assert worker.perform_again(plan(), LocalExecutor(), print).error == "busy", "not for ever"


def test_a_record_that_is_not_here_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "VISIBLE_AFTER", 0.0)
    done = Outcome(plan(), RunResult({}, plan().folder))
    with pytest.raises(DataError, match=r"^node a has completed this run, but .*record\.json is not here: its results"):
        worker.with_record(plan(), done, "node a")
    failed = Outcome(plan(), error="oh", exit_code=1)
    assert worker.with_record(plan(), failed, "node a") == failed
