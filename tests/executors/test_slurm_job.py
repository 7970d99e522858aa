"""The callable of a job: what it does again after it was requeued, and how it ends at a signal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from cl.errors import INTERRUPTED
from cl.executors import slurm_job
from cl.executors.base import Outcome
from cl.executors.local import LocalExecutor
from cl.executors.slurm_job import Job
from cl.plan.plan import Plan, make_plan

Done = list[tuple[str, int, str]]


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def stand_in(monkeypatch: pytest.MonkeyPatch, ends: dict[int, Any]) -> Done:
    """Note how runs are performed; `ends` maps a seed to its exit code or exception."""
    done: Done = []
    for name in ("perform", "perform_again"):

        def perform(plan: Plan, how: Any, say: Any, name: str = name) -> Outcome:
            done.append((name, plan.seed, how.existing))
            say("a line")
            end = ends.pop(plan.seed, 0)
            if isinstance(end, BaseException):
                raise end
            return Outcome(plan, exit_code=end)

        monkeypatch.setattr(slurm_job.worker, name, perform)
    monkeypatch.setattr(slurm_job, "_SECOND_SIGNAL", 0.0)
    return done


def runs() -> list[tuple[int, Plan]]:
    return [(10 + seed, make_plan("simplecil", "split-digits", seed=seed)) for seed in (1, 2, 3)]


def test_a_requeued_job_continues_where_it_was(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = stand_in(monkeypatch, {2: SystemExit(-1)})  # as submitit ends it, after it called `checkpoint`
    job = Job(runs(), LocalExecutor(existing="always"))
    with pytest.raises(SystemExit):
        job()
    assert done == [("perform", 1, "always"), ("perform", 2, "always")]
    done.clear()
    node, outcomes = job()
    assert done == [("perform_again", 1, "only-missing"), ("perform_again", 2, "always"), ("perform", 3, "always")]
    assert node and [outcome.plan.seed for outcome in outcomes] == [1, 2, 3]
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "clbench run 11 begins",
        "clbench run 11: a line",
        "clbench run 11 ended",
        "clbench run 12 begins",
    ]


def test_a_job_that_slurm_has_restarted_waits_for_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    done = stand_in(monkeypatch, {})
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    Job(runs()[:1], LocalExecutor())()
    assert done == [("perform_again", 1, "only-missing")]


def test_sigterm_ends_the_job_with_143_and_starts_no_other_run(monkeypatch: pytest.MonkeyPatch) -> None:
    done = stand_in(monkeypatch, {1: INTERRUPTED})
    with pytest.raises(SystemExit) as ended:
        Job(runs(), LocalExecutor())()
    assert ended.value.code == 143 and len(done) == 1
    assert signal.getsignal(signal.SIGTERM) is slurm_job.worker.stop
