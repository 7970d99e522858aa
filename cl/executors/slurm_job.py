"""What a job of Slurm executes: some runs, one after the other, with signals that stop it and requeue it."""

from __future__ import annotations

import dataclasses
import os
import platform
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

from cl.errors import INTERRUPTED, TERMINATED
from cl.executors import worker
from cl.executors.base import Executor, Outcome
from cl.plan.plan import Plan

MARK = "clbench run"
"""Begins the lines of a job's log that tell about a run: `clbench run 12 begins`, `clbench run 12: text`."""
BEGINS, ENDED = "begins", "ended"
_SECOND_SIGNAL = 5.0
"""Seconds between SIGTERM and the exit: with it, Slurm may send the signal at which submitit requeues the job."""

Numbered = tuple[int, Plan]


class Job:
    """Executes runs, each with its number in the grid. Submitit calls it, and `checkpoint` before it requeues it.

    A requeued job skips the runs that are complete and continues the others from their checkpoints.
    """

    def __init__(self, runs: Sequence[Numbered], how: Executor) -> None:
        self.runs, self.how = list(runs), how
        self.begun: set[int] = set()
        self.ended: set[int] = set()

    def __call__(self) -> tuple[str, list[Outcome]]:
        """The name of this machine and the outcomes without learners and records, which are in the results folder."""
        before, self.begun = self.begun, set(self.begun)
        restarted = bool(int(os.environ.get("SLURM_RESTART_COUNT") or 0))
        signal.signal(signal.SIGTERM, worker.stop)
        outcomes = []
        for index, plan in self.runs:
            self.begun.add(index)
            _print(f"{MARK} {index} {BEGINS}")
            outcome = self._one(index, plan, again=restarted or index in before)
            if outcome.exit_code == INTERRUPTED:
                time.sleep(_SECOND_SIGNAL)
                sys.exit(TERMINATED)
            self.ended.add(index)
            outcomes.append(worker.without_record(outcome))
            _print(f"{MARK} {index} {ENDED}")
        return platform.node(), outcomes

    def _one(self, index: int, plan: Plan, *, again: bool) -> Outcome:
        how = dataclasses.replace(self.how, existing="only-missing") if index in self.ended else self.how
        perform = worker.perform_again if again else worker.perform
        return perform(plan, how, lambda text: _print(f"{MARK} {index}: {text}"))

    def checkpoint(self) -> Any:
        """What submitit submits instead of this job when its time ends or it is preempted: the same, as begun."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def _print(text: str) -> None:
    print(text, flush=True)
