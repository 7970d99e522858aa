"""Runs as jobs of submitit, which on this machine starts processes as Slurm would start jobs."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import cl
from cl.errors import UsageError
from cl.executors import slurm
from cl.executors.base import make_executor
from cl.executors.slurm import SlurmExecutor
from tests.help.grids import Heard, equal_local, odd_plans, until, waiting

needs_submitit = pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="submitit is not installed")


@pytest.fixture
def jobs(odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs find the strategy of this test."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(odd), str(Path(cl.__file__).parent.parent)]))


def executor(**options: Any) -> SlurmExecutor:
    return SlurmExecutor(cluster="local", threads=1, time=600, **options)


def test_without_submitit_the_executor_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    expected = r"^Executor 'slurm' needs the package submitit: pip install 'clbench\[slurm\]'\.$"
    with pytest.raises(UsageError, match=expected):
        make_executor("slurm")


@needs_submitit
def test_without_slurm_and_with_wrong_options_nothing_is_submitted(odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        UsageError, match=r"^Slurm is not on this machine \(.*srun.*\) Run this where sbatch and srun are"
    ):
        make_executor("slurm").execute(odd_plans([1]), Heard())
    with pytest.raises(UsageError, match=r"executor\.partitio.*Did you mean executor\.partition"):
        make_executor("slurm", [("--executor-set", {"partitio": "gpu"})])


@needs_submitit
@pytest.mark.slow
def test_a_grid_of_jobs_equals_the_local_executor_and_a_failed_run_is_alone(jobs: None, tmp_path: Path) -> None:
    plans = [*odd_plans([1]), *odd_plans([2], "fail"), *odd_plans([3])]
    heard = Heard()
    outcomes = executor(runs_per_job=2, array=1).execute(plans, heard)
    assert [outcome.exit_code for outcome in outcomes] == [0, 1, 0]
    assert outcomes[1].error.startswith("unexpected ZeroDivisionError: oh. The traceback is in ")
    assert sorted(index for _, index, _ in heard.begun) == [0, 1, 2] and len(heard.ended) == 3
    assert any(line.startswith("3: 0:") for line in heard.lines), "its progress"
    assert sorted(Path("learned").read_text().split()) == ["1/0", "1/1", "2/0", "2/1", "3/0", "3/1"]
    equal_local([outcomes[0], outcomes[2]], tmp_path)
    again = executor().execute([plans[0]], heard)
    assert again[0].result is not None and not again[0].result.executed, "no job for what is complete"


@needs_submitit
@pytest.mark.slow
def test_a_preempted_job_is_requeued_and_continues(jobs: None, tmp_path: Path) -> None:
    heard = Heard()

    def preempt() -> None:
        (run,) = until(waiting)
        os.kill(run.process, signal.SIGUSR2)
        until(lambda: len(waiting()) == 2)
        Path("go").touch()

    thread = threading.Thread(target=preempt)
    thread.start()
    (outcome,) = executor(slurm={"qos": "high"}).execute(odd_plans([1], "wait"), heard)
    thread.join()
    assert outcome.error == "" and "1: the job of this run was requeued." in heard.lines
    assert outcome.result is not None and outcome.result.record["measurement"]["resumed_from"]
    assert Path("learned").read_text().split() == ["1/0", "1/1", "1/1"]
    equal_local([outcome], tmp_path)


@needs_submitit
@pytest.mark.slow
def test_a_job_that_dies_gets_a_sentence_and_an_interrupt_cancels_the_jobs(jobs: None) -> None:
    heard = Heard()
    (died,) = executor().execute(odd_plans([1], "kill"), heard)
    assert died.error.startswith("its job ") and "ended without a result (state " in died.error and died.exit_code == 1

    def interrupt() -> None:
        until(waiting)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    outcomes = executor(runs_per_job=2).execute(odd_plans([2, 3], "wait"), heard)
    thread.join()
    assert [outcome.exit_code for outcome in outcomes] == [130]
    Path("go").touch()
    (continued,) = executor().execute([outcomes[0].plan], heard)
    assert continued.result is not None and continued.result.record["measurement"]["resumed_from"]


@pytest.mark.parametrize("detach", [False, True])
def test_ctrl_c_while_jobs_are_submitted(detach: bool, odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(slurm._Grid, "_submit", stopped)
    how = executor(detach=detach)
    assert how.detaches == detach
    assert [executor(runs_per_job=runs).runs_per_process([]) for runs in (1, 3)] == [1, 3]
    if detach:  # runs without an outcome would count as submitted
        with pytest.raises(KeyboardInterrupt):
            how.execute(odd_plans([1], "fine"), Heard())
    else:
        assert how.execute(odd_plans([1], "fine"), Heard()) == []


@needs_submitit
@pytest.mark.slow
def test_sigterm_ends_a_job_with_143_and_detached_jobs_are_left_alone(
    jobs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    (plan,) = odd_plans([1], "wait")
    assert executor(detach=True).execute([plan], Heard()) == []
    (run,) = until(waiting)
    os.kill(run.process, signal.SIGTERM)
    log = until(lambda: list((plan.results / "sweeps" / "slurm").glob("*.out")))[0]
    until(lambda: "interrupted" in (plan.folder / "log.txt").read_text())
    until(lambda: not Path(f"/proc/{run.process}").exists())
    assert not log.with_name(log.name.replace("log.out", "result.pkl")).exists()
    Path("go").touch()
    (outcome,) = executor().execute([dataclasses.replace(plan)], Heard())
    assert outcome.error == "" and Path("learned").read_text().split() == ["1/0", "1/1", "1/1"]
