"""`clbench sweep status`: how the runs of a grid stand."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from cl.cli.grid_progress import Costs
from cl.cli.text import say
from cl.errors import counted, printable
from cl.executors.journal import key_of
from cl.plan.command import command_of
from cl.progress.base import clock
from cl.running.standing import STANDINGS, Standing, standing_of

if TYPE_CHECKING:
    from cl.executors.journal import Attempt
    from cl.plan.plan import Plan


def show(plans: Sequence[Plan], last: Mapping[str, Attempt], as_json: bool) -> int:
    """Print the runs that are not complete, and the counts; returns 1 if a run failed, else 0."""
    found = [(plan, _standing(plan, last)) for plan in plans]
    counts = Counter(standing.kind for _, standing in found)
    if as_json:
        for plan, standing in found:
            click.echo(json.dumps(_facts(plan, standing, last), sort_keys=True))
        return 1 if counts["failed"] else 0
    for plan, standing in found:
        if standing.kind in ("running", "stopped", "failed"):
            tasks = f" after {standing.done} of {counted(standing.tasks, 'task')}" if standing.tasks else ""
            text = f": {standing.error}" if standing.error else f" on {standing.host}" if standing.host else ""
            say(printable(f"{standing.kind:<8}  {plan.title}{tasks}{text}"), hang=10)
            if standing.kind == "failed":
                click.echo(printable(f"{'':<10}{shlex.join(command_of(plan, _threads(plan, last)))}"))
    words = [f"{counts[kind]} {kind}" for kind in STANDINGS if counts[kind]]
    say(f"{counted(len(plans), 'run')}: {', '.join(words)}.{_left(found)}")
    return 1 if counts["failed"] else 0


def _standing(plan: Plan, last: Mapping[str, Attempt]) -> Standing:
    """How a run stands; a run that failed before it had a record has its sentence in the journal."""
    standing = standing_of(plan)
    attempt = last.get(key_of(plan))
    if standing.kind in ("new", "stopped") and attempt is not None and attempt.ended == "failed":
        return Standing("failed", standing.done, standing.tasks, attempt.error, attempt.seconds)
    return standing


def _left(found: Sequence[tuple[Plan, Standing]]) -> str:
    """The time that is left for one run after the other, as the complete ones took."""
    costs = Costs()
    for plan, standing in found:
        if standing.kind == "complete" and standing.seconds:
            costs.add(plan, standing.seconds)
    rest = [plan for plan, standing in found if standing.kind != "complete"]
    seconds = costs.of_all(rest)
    return f" About {clock(seconds)} of work is left, one run after the other." if rest and seconds else ""


def _threads(plan: Plan, last: Mapping[str, Attempt]) -> int | None:
    """The CPU threads of the last attempt."""
    attempt = last.get(key_of(plan))
    return None if attempt is None else attempt.threads


def _facts(plan: Plan, standing: Standing, last: Mapping[str, Attempt]) -> dict[str, object]:
    return {
        "run": plan.title, "folder": str(plan.folder), "state": standing.kind, "host": standing.host,
        "tasks_done": standing.done, "tasks": standing.tasks, "error": standing.error, "seconds": standing.seconds,
        "command": command_of(plan, _threads(plan, last)),
    }  # fmt: skip
