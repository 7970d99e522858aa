"""What `clbench tune` shows: a line per trial, then the best values, what they cost, and how to use them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from cl.cli.shared import Display
from cl.errors import printable
from cl.executors import Outcome
from cl.plan.plan import Plan
from cl.progress.base import Observer, clock
from cl.tuning.space import Space
from cl.tuning.study import Trial


class TuneScreen:
    """The observer of the runs of trials, on stderr; their lines are shown with -v."""

    def __init__(self, display: Display, space: Space, trials: int) -> None:
        self.display, self.space, self.trials = display, space, trials

    def started(self, plan: Plan, index: int, total: int) -> None:
        """Nothing: a trial is told when it has ended."""

    @contextmanager
    def progress(self, plan: Plan) -> Iterator[Observer]:
        yield _Lines(self, plan)

    def line(self, plan: Plan, text: str) -> None:
        if self.display.verbose:
            click.echo(printable(f"{plan.title}: {text}"), err=True)

    def finished(self, outcome: Outcome) -> None:
        if self.display.verbose and outcome.result is not None:
            self.line(outcome.plan, f"{outcome.result.folder}")

    def ended(self, trial: Trial) -> None:
        """A trial has ended."""
        if not self.display.quiet:
            click.echo(f"[{trial.index + 1} of {self.trials}] {line_of(self.space, trial)}", err=True)


class _Lines(Observer):
    def __init__(self, screen: TuneScreen, plan: Plan) -> None:
        self.screen, self.plan = screen, plan

    def message(self, text: str) -> None:
        self.screen.line(self.plan, text)

    def event(self, index: int, total: int, text: str) -> None:
        self.screen.line(self.plan, f"{index + 1}/{total}  {text}")


def line_of(space: Space, trial: Trial) -> str:
    """A trial in one line: accuracy, values, how it ended, time."""
    values = " ".join(f"{key}={value}" for key, value in space.options(trial.plain).items())
    seconds = sum(cost["seconds"] for cost in trial.costs.values())
    tasks = max((len(curve) for curve in trial.curves.values()), default=0)
    how = {"pruned": f", pruned after task {tasks}", "diverged": ", the loss was not finite"}.get(trial.state, "")
    return f"trial {trial.index}: {100 * trial.value:.2f} %{how}  {values}  {clock(seconds)}"


def table_of(space: Space, trials: Sequence[Trial], importances: dict[str, float]) -> str:
    """All trials, and the importance of each option."""
    lines = [line_of(space, trial) for trial in trials]
    shares = ", ".join(f"{key} {100 * share:.0f} %" for key, share in importances.items())
    return "\n".join(lines + ([f"Share in the variance of the accuracy (fANOVA): {shares}"] if shares else []))
