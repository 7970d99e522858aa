"""`clbench check`: does a strategy, a stream, a metric or a logger keep the contract?"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from cl.cli.completers import complete
from cl.cli.text import say

if TYPE_CHECKING:
    from cl.testing import Outcome, Report

_EPILOG = """\b
Examples:
  clbench check slca                          every check; about ten seconds
  clbench check my-method --set lr=0.1 --set epochs=1
  clbench check my-method --only resume,seeded -v
  clbench check split-digits
  clbench check folder:/my/images
  clbench check my-metric                     also a logger
  clbench check --list                        what is checked

\b
A strategy learns three tasks of the embedded digits on a tiny Vision Transformer, several times over: with
noise for test images, interrupted, from a saved state, ... Unless --set names them, options called epochs are
capped at 2 and batch_size at 16. Exit code 0: all checks passed; 1: one failed, shown with values and the fix.
In a test of your own: cl.testing.parametrize_with_checks and parametrize_with_stream_checks."""

_MARKS = {"passed": ("ok", "green"), "failed": ("FAILED", "red"), "skipped": ("skipped", "yellow")}


@click.command("check", epilog=_EPILOG, short_help="does a strategy, stream, metric or logger keep the contract?")
@click.argument("name", required=False, shell_complete=complete("strategies", "streams", "metrics", "loggers"))
@click.option("--list", "listing", is_flag=True, help="Say what is checked.")
@click.option("--only", multiple=True, metavar="CHECK[,CHECK]", help="These checks only; repeatable.")
@click.option("--stream", metavar="NAME", help="Another stream for a strategy to learn.  [default: split-digits]")
@click.option("-b", "--backbone", metavar="NAME", help="Another backbone.  [default: a tiny one]")
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", allow_from_autoenv=False, help="As for `clbench run`."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Show tracebacks of what a check raised.")
def command(
    name: str | None,
    listing: bool,
    only: tuple[str, ...],
    stream: str | None,
    backbone: str | None,
    assignments: tuple[str, ...],
    as_json: bool,
    verbose: bool,
) -> int:
    """Check that the strategy, stream, metric or logger NAME keeps the contract.

    Says what it breaks, with values, the place in its file and the fix.
    """
    from cl.errors import UsageError
    from cl.options import parse_assignments

    if listing:
        return _list(as_json)
    if name is None:
        raise UsageError(
            "Name a strategy, a stream, a metric or a logger to check; `clbench list` shows what there is."
        )
    kind = _kind_of(name)
    if kind != "strategy" and (stream or backbone):
        raise UsageError("--stream and --backbone are for checking a strategy.")
    if kind in ("metric", "logger") and assignments:
        raise UsageError(f"--set is for strategies and streams; {name} is a {kind}.")

    from cl import testing

    arguments: dict[str, Any] = {
        "only": [each.strip() for text in only for each in text.split(",") if each.strip()],
        "tell": None if as_json else lambda outcome: _show(outcome, verbose),
    }
    if kind == "strategy":
        options = parse_assignments(assignments)
        report = testing.examine_strategy(name, stream=stream, backbone=backbone, options=options, **arguments)
    elif kind == "stream":
        report = testing.examine_stream(name, options=parse_assignments(assignments), **arguments)
    else:
        examine = {"metric": testing.examine_metric, "logger": testing.examine_logger}[kind]
        report = examine(name, **arguments)
    if as_json:
        click.echo(json.dumps(asdict(report), indent=1))
    else:
        click.echo(_summary(report))
    return 1 if report.failures else 0


def _kind_of(name: str) -> str:
    """What a name is registered as; avalanche/ is a strategy and a stream: the first counts. Raises `UsageError`."""
    from cl import registry
    from cl.errors import UsageError
    from cl.records.metrics import BUILT_IN

    for names in (registry.strategies, registry.streams, registry.metrics, registry.loggers):
        if name in names:
            return names.kind
    if name in BUILT_IN:
        return "metric"
    kinds = ([*registry.strategies, *registry.streams], [*BUILT_IN, *registry.metrics, *registry.loggers])
    hint = next(filter(None, (registry.did_you_mean(name, known) for known in kinds)), " Try `clbench list`.")
    raise UsageError(f"There is no strategy, stream, metric or logger '{name}'.{hint}")


def _list(as_json: bool) -> int:
    from cl.testing import CHECKS, LOGGER_CHECKS, METRIC_CHECKS, STREAM_CHECKS

    kinds = {"strategy": CHECKS, "stream": STREAM_CHECKS, "metric": METRIC_CHECKS, "logger": LOGGER_CHECKS}
    if as_json:
        click.echo(json.dumps({kind: {n: c.summary for n, c in checks.items()} for kind, checks in kinds.items()}))
        return 0
    for kind, checks in kinds.items():
        click.echo(f"Checks of a {kind}:")
        for check in checks.values():
            say(f"  {check.name:<20}  {check.summary}", hang=24)
    return 0


def _show(outcome: Outcome, verbose: bool) -> None:
    word, colour = _MARKS[outcome.status]
    click.echo(f"{outcome.check:<20}  {click.style(f'{word:<7}', fg=colour)}  {outcome.seconds:5.1f} s", nl=False)
    click.echo(f"  {outcome.found}" if outcome.status == "skipped" else "")
    if outcome.status == "failed":
        click.echo(f"    {outcome.summary}\n    Found: {outcome.found}\n    Fix: {outcome.fix}")
        if verbose and outcome.trace:
            click.echo("".join(f"    {line}\n" for line in outcome.trace.splitlines()))


def _summary(report: Report) -> str:
    skipped = sum(outcome.status == "skipped" for outcome in report.outcomes)
    passed = len(report.outcomes) - skipped - len(report.failures)
    parts = [f"{passed} passed", f"{len(report.failures)} failed", f"{skipped} skipped"]
    result = f"{report.kind} '{report.name}': {', '.join(part for part in parts if not part.startswith('0 '))}."
    return "\n".join([result, *(f"Note: {text}" for text in report.remarks)])
