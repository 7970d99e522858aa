"""Executes plans for the command line and reports their outcomes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from cl.cli import signals
from cl.cli.app import debugging
from cl.cli.shared import Display, Execution
from cl.errors import INTERRUPTED, printable

if TYPE_CHECKING:
    from cl.executors import Executor, GridObserver, Outcome
    from cl.plan.plan import Plan
    from cl.progress.base import Observer
    from cl.running.result import RunResult


log = logging.getLogger("clbench")


def perform(
    plans: Sequence[Plan],
    execution: Execution,
    display: Display,
    *,
    show_result: Callable[[RunResult, bool], None] | None = None,
) -> int:
    """Execute plans with a display; returns the exit code of the first failure, in the order of the plans.

    `show_result` is called with each result and whether JSON is requested; by default the result is printed.
    """
    from cl.executors.local import LocalExecutor

    executor = LocalExecutor(
        jobs=execution.jobs,
        threads=execution.threads,
        existing=execution.existing,
        profile=execution.profile,
        log_level=display.log_level,
        lines=not display.quiet and display.progress != "none",
    )
    screen = _Screen(display, len(plans) > 1, show_result or print_result, profile=execution.profile)
    return carry_out(executor, plans, screen)


def carry_out(executor: Executor, plans: Sequence[Plan], observer: GridObserver) -> int:
    """Execute plans by an executor; returns the exit code of the first failure, or that of a signal."""
    with signals.handled():
        outcomes = executor.execute(plans, observer)
        _keep_facts(outcomes)
    codes = [outcome.exit_code for outcome in outcomes if outcome.exit_code]
    unbegun = len(outcomes) < len(plans) and not executor.detaches  # the executor was stopped before it began them
    stopped = unbegun or INTERRUPTED in codes or signals.terminated()
    return signals.exit_code() if stopped else next(iter(codes), 0)


def _keep_facts(outcomes: Sequence[Outcome]) -> None:
    """Leave the facts of backbones in the cache for `--dry-run`, which writes nothing.

    Runs that were complete already are left out, because they need neither torch nor timm.
    """
    executed = [outcome.plan for outcome in outcomes if outcome.result is not None and outcome.result.executed]
    backbones = {(plan.backbone.partition("@")[0], plan.backbone_options.image_size): plan for plan in executed}
    if not backbones:
        return
    from cl.backbone.facts import keep

    for plan in backbones.values():
        try:
            keep(plan.backbone, plan.backbone_options)
        except Exception as error:  # the runs are complete
            log.info("The facts of backbone %s are not known: %s", plan.backbone, error)


class _Screen:
    """Shows runs: results on stdout, everything else on stderr."""

    def __init__(
        self, display: Display, many: bool, show_result: Callable[[RunResult, bool], None], *, profile: bool = False
    ) -> None:
        self.display, self.many, self.show_result, self.profile = display, many, show_result, profile

    def started(self, plan: Plan, index: int, total: int) -> None:
        if self.many and not self.display.quiet:
            click.echo(f"[{index + 1}/{total}] {plan.title}", err=True)

    def progress(self, plan: Plan) -> Observer:
        from cl.progress.displays import make_progress

        return make_progress("none" if self.display.quiet else self.display.progress)

    def line(self, plan: Plan, text: str) -> None:
        click.echo(f"{plan.title}: {text}", err=True)

    def finished(self, outcome: Outcome) -> None:
        whose = f" ({outcome.plan.title})" if self.many else ""
        if outcome.result is not None:
            self.show_result(outcome.result, self.display.as_json)
            if self.profile:
                self._show_profile(outcome.result)
        elif outcome.exit_code == INTERRUPTED or (signals.terminated() and outcome.error):
            # SIGTERM during an import may surface as any error
            click.echo(f"Interrupted; the same command continues ({outcome.plan.folder}).", err=True)
        elif outcome.skipped:
            if not self.display.quiet:
                click.echo(f"Skipped: {outcome.plan.title}: {outcome.skipped}", err=True)
        else:
            if debugging():
                click.echo(outcome.traceback, err=True)
            click.echo(printable(f"Error: {outcome.error}{whose}"), err=True)

    def _show_profile(self, result: RunResult) -> None:
        """Print the table of a profile: on stdout after the result, on stderr if stdout has JSON."""
        from cl.training.profile import PROFILE, profile_text

        if result.profile is not None:
            if not (self.display.as_json and self.display.quiet):
                text = f"{profile_text(result.profile)}\nProfile: {printable(str(result.folder / PROFILE))}"
                click.echo(text, err=self.display.as_json)
        elif not self.display.quiet:
            click.echo("No profile: the run was complete already; --existing always measures it.", err=True)


def show_skipped(sentences: Sequence[str], display: Display) -> None:
    """Print the combinations of a grid that were left out."""
    if not display.quiet:
        for text in sentences:
            click.echo(f"Skipped: {text}", err=True)


def print_result(result: RunResult, as_json: bool) -> None:
    """Print the record as one line of JSON, or the forgetting table and the path of the record."""
    if as_json:
        click.echo(json.dumps(result.record, sort_keys=True))
        return
    from cl.cli.text import room, say
    from cl.records.record import RECORD

    say(result.table(room()).rstrip("\n"))
    click.echo(f"Record: {printable(str(result.folder / RECORD))}")
