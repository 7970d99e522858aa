"""The progress of a grid: done, running, failed, and the time that is left, estimated from what runs took."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cl.executors import Outcome
from cl.plan.plan import Plan
from cl.progress.base import clock

Clock = Callable[[], float]


def kind_of(plan: Plan) -> Hashable:
    """Runs that take about the same time: all but the seeds are equal."""
    return plan.strategy, plan.stream, plan.backbone, plan.config_hash


@dataclass
class Costs:
    """Seconds that runs took, by kind; runs of a kind that was not seen are taken for the mean of their method's."""

    seen: dict[Hashable, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, plan: Plan, seconds: float) -> None:
        """A run of a plan took so long."""
        for key in (kind_of(plan), plan.strategy, None):
            self.seen[key].append(seconds)

    def of(self, plan: Plan) -> float | None:
        """The expected seconds of a run; None before any was seen."""
        for key in (kind_of(plan), plan.strategy, None):
            if times := self.seen.get(key):
                return sum(times) / len(times)
        return None

    def of_all(self, plans: Iterable[Plan]) -> float | None:
        """The sum over runs; None before any was seen."""
        times = [self.of(plan) for plan in plans]
        known = [each for each in times if each is not None]
        return sum(known) if len(known) == len(times) else None


class GridProgress:
    """Counts the runs of a grid and estimates the time that is left.

    `at_once` runs are executed at the same time. Runs that are complete already are no measure of time.
    """

    def __init__(self, plans: Iterable[Plan], at_once: int, costs: Costs | None = None, now: Clock = time.monotonic):
        self.left = {plan.folder: plan for plan in plans}
        self.total, self.at_once, self.now = len(self.left), max(1, at_once), now
        self.costs = costs or Costs()
        self.running: dict[Path, tuple[Plan, float]] = {}
        self.complete = self.already = self.failed = self.skipped = self.stopped = 0

    def started(self, plan: Plan) -> None:
        """A run starts."""
        self.running[plan.folder] = plan, self.now()

    def finished(self, outcome: Outcome, *, stopped: bool = False) -> float:
        """A run has ended, or was stopped and can continue; returns the seconds that it took."""
        plan = outcome.plan
        _, began = self.running.pop(plan.folder, (plan, self.now()))
        seconds = self.now() - began
        self.left.pop(plan.folder, None)
        if stopped:
            self.stopped += 1
        elif outcome.skipped:
            self.skipped += 1
        elif outcome.result is None:
            self.failed += 1
        else:
            self.complete += 1
            self.already += not outcome.result.executed
            if outcome.result.executed:
                self.costs.add(plan, seconds)
        return seconds

    @property
    def ended(self) -> int:
        """The runs that have ended, well or not."""
        return self.complete + self.failed + self.skipped

    def seconds_left(self) -> float | None:
        """The expected time until all runs have ended; None before any run was measured."""
        total = self.costs.of_all(self.left.values())
        if total is None:
            return None
        running = self.running.values()  # done in part
        spent = sum(min(self.now() - began, self.costs.of(plan) or 0.0) for plan, began in running)
        return max(0.0, total - spent) / min(self.at_once, max(1, len(self.left)))

    def text(self) -> str:
        """The counts in words: `12 of 60 done, 3 running, 1 failed, about 0:12:30 left`."""
        words = [f"{self.ended} of {self.total} done"]
        words += [f"{len(self.running)} running"] if self.running else []
        words += [f"{self.failed} failed"] if self.failed else []
        left = self.seconds_left()
        words += [f"about {clock(left)} left"] if left is not None and self.left else []
        return ", ".join(words)
