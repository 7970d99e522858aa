"""What `clbench sweep` shows: one live view on a terminal, one line per run elsewhere; the failures at the end."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

import click

from cl.cli import signals
from cl.cli.app import debugging
from cl.cli.grid_progress import Costs, GridProgress
from cl.cli.shared import Display
from cl.errors import INTERRUPTED, counted, printable
from cl.executors import Outcome
from cl.executors.journal import Journal, ended
from cl.plan.command import command_of
from cl.plan.plan import Plan
from cl.progress.base import Observer, clock

_SHOWN, _BAR = 8, 40
"""Running runs that the live view lists, and the width of its bar."""


class SweepScreen:
    """Shows the runs of a sweep and writes its journal: results on stdout, everything else on stderr."""

    def __init__(
        self, plans: Sequence[Plan], display: Display, journal: Journal, at_once: int, threads: int | None = None
    ) -> None:
        self.display, self.journal, self.threads = display, journal, threads
        self.state = GridProgress(plans, at_once, _known_costs(plans))
        self.lines: dict[Any, str] = {}
        self.failures: list[Outcome] = []
        self._live: Any = None

    # ------------------------------------------------------------------------------------------- the executor's events

    def started(self, plan: Plan, index: int, total: int) -> None:
        self.state.started(plan)
        self._refresh()

    def progress(self, plan: Plan) -> AbstractContextManager[Observer]:
        return _LastLine(self, plan)

    def line(self, plan: Plan, text: str) -> None:
        self.lines[plan.folder] = text
        if self.display.verbose and self._live is None:
            click.echo(f"{plan.title}: {text}", err=True)
        self._refresh()

    def finished(self, outcome: Outcome) -> None:
        interrupted = outcome.exit_code == INTERRUPTED or (signals.terminated() and bool(outcome.error))
        seconds = self.state.finished(outcome, stopped=interrupted)
        self.lines.pop(outcome.plan.folder, None)
        if outcome.error and not interrupted:
            self.failures.append(outcome)
        self.journal.add(outcome, seconds, self.threads)
        self._say(self._sentence(outcome, seconds, interrupted))
        if debugging() and outcome.traceback:
            self._say(outcome.traceback)
        if self.display.as_json:
            click.echo(json.dumps(_as_json(outcome), sort_keys=True))
        self._refresh()

    def _sentence(self, outcome: Outcome, seconds: float, interrupted: bool) -> str:
        title = outcome.plan.title
        if outcome.result is not None and not outcome.result.executed:
            return ""  # counted, not told one by one
        if interrupted:
            what = f"stopped: {title}"
        elif outcome.skipped:
            what = f"skipped: {title}: {outcome.skipped}"
        elif outcome.error:
            what = f"failed: {title}: {outcome.error}"
        else:
            what = f"{title}: {_score(outcome)} in {clock(seconds)}"
        return what if self._live is not None else f"[{self.state.text()}] {what}"

    # ------------------------------------------------------------------------------------------------------- the screen

    def __enter__(self) -> SweepScreen:
        kind = self.display.progress
        if not self.display.quiet and (kind == "rich" or (kind == "auto" and sys.stderr.isatty())):
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(file=sys.stderr), refresh_per_second=4, transient=True,
                              redirect_stdout=False, get_renderable=self._view)  # fmt: skip
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _view(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        done = _BAR * self.state.ended // max(1, self.state.total)
        rows: list[Any] = [Text(self.state.text()), Text(done * "━" + (_BAR - done) * "╌")]
        running = list(self.state.running.values())
        for plan, began in running[:_SHOWN]:
            line = self.lines.get(plan.folder, "")
            text = f"  {clock(time.monotonic() - began)}  {plan.title}{': ' if line else ''}{line}"
            rows.append(Text(printable(text), no_wrap=True, overflow="ellipsis"))
        if len(running) > _SHOWN:
            rows.append(Text(f"  and {len(running) - _SHOWN} more"))
        return Group(*rows)

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.refresh()

    def _say(self, text: str) -> None:
        if not text or self.display.quiet:
            return
        if self._live is not None:
            self._live.console.print(printable(text), markup=False, highlight=False)
        else:
            click.echo(printable(text), err=True)

    def summary(self, *, detached: bool = False) -> None:
        """The counts, and every failure with the command that repeats it.

        `detached`: the runs that have no outcome go on elsewhere.
        """
        state = self.state
        new = state.complete - state.already
        words = [f"{new} complete"] + ([f"{state.already} complete already"] if state.already else [])
        words += [f"{state.skipped} skipped"] if state.skipped else []
        words += [f"{len(self.failures)} failed"] if self.failures else []
        words += [f"{state.stopped} stopped"] if state.stopped else []
        words += [f"{len(state.left)} {'submitted' if detached else 'not started'}"] if state.left else []
        if not self.display.quiet:
            click.echo(f"{counted(state.total, 'run')}: {', '.join(words)}.", err=True)
        if self.failures:
            click.echo("Failed:", err=True)
        for outcome in self.failures:
            click.echo(printable(f"  {outcome.plan.title}: {outcome.error}"), err=True)
            click.echo(printable(f"    {shlex.join(command_of(outcome.plan, self.threads))}"), err=True)
        if state.left and detached:
            click.echo("What is submitted goes on without this command: see `clbench sweep status`.", err=True)
            click.echo("Once it has ended, the same command runs what is not complete.", err=True)
        elif state.stopped or state.left:
            click.echo("The same command continues.", err=True)


class _LastLine(Observer):
    """Keeps the last event of a run of this process for the view."""

    def __init__(self, screen: SweepScreen, plan: Plan) -> None:
        self.screen, self.plan = screen, plan

    def message(self, text: str) -> None:
        self.screen.line(self.plan, text)

    def event(self, index: int, total: int, text: str) -> None:
        self.screen.line(self.plan, f"{index + 1}/{total}  {text}")

    def data(self, what: str, done: int, total: int) -> None:
        self.screen.lines[self.plan.folder] = f"{what}: {100 * done // total} %" if total else what


def _as_json(outcome: Outcome) -> Mapping[str, Any]:
    """The record of a run; of one that has none, how it ended."""
    if outcome.result is not None:
        return outcome.result.record
    about = {"run": outcome.plan.title, "folder": str(outcome.plan.folder), "ended": ended(outcome)}
    return {**about, "error": outcome.error or outcome.skipped, "exit_code": outcome.exit_code}


def _known_costs(plans: Sequence[Plan]) -> Costs:
    """What the complete runs of a sweep took: they are the measure for those that are left."""
    from cl.running.standing import standing_of

    costs = Costs()
    for plan in plans:
        standing = standing_of(plan)
        if standing.kind == "complete" and standing.seconds:
            costs.add(plan, standing.seconds)
    return costs


def _score(outcome: Outcome) -> str:
    """The last accuracy of a run, in percent."""
    from cl.protocol import default_rule

    assert outcome.result is not None
    metrics = outcome.result.metrics
    if not metrics:
        return outcome.result.status
    value = metrics[default_rule(metrics)].get("A_last_sample")
    return outcome.result.status if value is None else f"{100 * value:.2f} %"
