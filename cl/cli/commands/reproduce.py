"""`clbench reproduce`: run a shipped configuration and compare with our measurements and published values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from cl.cli.perform import perform
from cl.cli.shared import Display, Execution, display_options, execution_options, run_option, seeds_in
from cl.cli.text import say

if TYPE_CHECKING:
    from collections.abc import Collection

    from click.shell_completion import CompletionItem

    from cl.results.reproduction import Configuration, Expected, Verdict
    from cl.running.result import RunResult

_EPILOG = """\b
Examples:
  clbench reproduce --list                       what was measured where, and what nobody has run yet
  clbench reproduce digits-simplecil             under a minute, no download
  clbench reproduce cifar100-slca --seed 1993    one of its seeds
  clbench reproduce vitb16-slca --dry-run

\b
Exit codes: 0 inside the interval or nothing is expected yet, 5 outside it, else as `clbench run`.
A run that was stopped continues with the same command, and one that is complete is only compared."""


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from cl.results.reproduction import configurations

    return [
        CompletionItem(name, help=each.about) for name, each in configurations().items() if name.startswith(incomplete)
    ]


@click.command("reproduce", epilog=_EPILOG, short_help="run a shipped configuration and compare")
@click.argument("name", required=False, metavar="[NAME]", shell_complete=_complete)
@click.option(
    "--list", "as_list", is_flag=True, help="List the configurations, with the hardware on which each was verified."
)
@click.option("--seed", multiple=True, metavar="N[,N]", help="Some of its seeds.  [default: all]")
@click.option("--dry-run", is_flag=True, help="Print what would be done, check that it can begin, and change nothing.")
@run_option("device", metavar="NAME")
@execution_options(profile=False)
@run_option("results", metavar="FOLDER")
@display_options
def command(
    name: str | None,
    as_list: bool,
    seed: tuple[str, ...],
    dry_run: bool,
    execution: Execution,
    display: Display,
    **how: Any,
) -> int:
    """Run a shipped configuration: reported value, expected interval, measured value, verdict.

    The expected interval comes from our own records of the same configuration (95 %, for the mean of runs with the
    same seeds). Reported values come from papers with the same weights and protocol.
    """
    from cl.errors import OutsideInterval, UsageError
    from cl.records.record import RECORD
    from cl.results import reproduction

    if as_list:
        return _list(display.as_json)
    if name is None:
        raise UsageError("Name a configuration; clbench reproduce --list shows them.")
    configuration = reproduction.find(name)
    plans = configuration.plans(_seeds(configuration, seed), **how)
    if dry_run:
        from cl.cli.dry_run import describe

        return describe(plans, display.as_json)

    results: list[RunResult] = []
    failed = perform(plans, execution, display, show_result=lambda result, _: results.append(result))
    if failed:
        return failed
    if len(results) < len(plans):
        click.echo("Not compared: another process is running the rest; the same command compares them later.", err=True)
        return 0
    places = [plan.folder for plan in plans]
    results.sort(key=lambda result: places.index(result.folder))  # concurrent runs end in any order
    verdict = reproduction.judge(configuration, [result.record for result in results])
    if display.as_json:
        folders = {"records": [str(result.folder / RECORD) for result in results]}
        click.echo(json.dumps(verdict.as_dict() | folders, sort_keys=True))
    else:
        _print(verdict, results)
    if verdict.inside is False:
        raise OutsideInterval(
            f"{name} is outside its expected interval; compare `clbench env` with the hardware above, "
            "or say so in an issue with the record."
        )
    return 0


def _seeds(configuration: Configuration, given: tuple[str, ...]) -> list[int]:
    """The chosen seeds, which must be among the configuration's: other seeds have other class orders."""
    from cl.errors import UsageError

    chosen = [seed for seed in seeds_in(given) if seed is not None]
    other = [seed for seed in chosen if seed not in configuration.seeds]
    if other:
        known = ", ".join(map(str, configuration.seeds))
        raise UsageError(f"{configuration.name} has no seed {other[0]}; choose among {known}, or use clbench run.")
    return chosen


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _expected(expected: Expected | None, seeds: Collection[int]) -> str:
    """The interval for the mean of runs with these seeds, in words."""
    if expected is None:
        return "nothing yet: we have not run it"
    interval, ours = expected.interval(seeds), _percent(expected.mean(seeds))
    if interval is None:
        return f"no interval from one run ({ours})"
    return f"{_percent(interval[0])} to {_percent(interval[1])}  (ours {ours}; from {expected.source(seeds)})"


def _print(verdict: Verdict, results: list[RunResult]) -> None:
    from cl.records.record import RECORD

    wanted, each = verdict.configuration, verdict.values
    click.echo(f"{wanted.name}: {wanted.command}")
    lines = [("metric", f"{wanted.metric}, rule {verdict.rule}, percent")]
    for row in wanted.reported():
        if (number := row.values.get(wanted.metric)) is not None:
            lines.append(("reported", f"{number.text}  ({row.source}; {row.tag})"))
    if lines[-1][0] != "reported":
        lines.append(("reported", "nothing with these weights and this protocol"))
    lines.append(("expected", _expected(verdict.expected, each)))
    if verdict.expected is not None:
        lines.append(("on", verdict.expected.hardware))
    shown = ", ".join(f"seed {seed}: {_percent(value)}" for seed, value in each.items())
    lines.append(("measured", f"{_percent(verdict.mean)}  ({shown})"))
    if verdict.drift is not None:
        lines.append(("drift", f"{_percent(verdict.drift)} points at most from ours at the same seed"))
    lines.append(("verdict", verdict.as_dict()["verdict"]))
    lines += [("record", str(result.folder / RECORD)) for result in results]
    for title, words in lines:
        click.echo(f"  {title:<9} {words}")


def _list(as_json: bool) -> int:
    """Print every configuration: its interval and hardware, or the requirements to run it."""
    from cl import registry
    from cl.results import reproduction

    expectations = reproduction.expectations()
    items: list[dict[str, Any]] = []
    for name, wanted in reproduction.configurations().items():
        expected = expectations.get(name)
        source = registry.strategies.source_sha256(wanted.strategy)
        rows = [(row, row.values[wanted.metric]) for row in wanted.reported() if wanted.metric in row.values]
        items.append(
            {
                "name": name,
                "about": wanted.about,
                "command": wanted.command,
                "seeds": list(wanted.seeds),
                "metric": wanted.metric,
                "expected": _expected(expected, wanted.seeds),
                "verified_on": expected.hardware if expected else None,
                "source_changed": bool(expected and source not in expected.source_sha256),
                "needs": wanted.needs or None,
                "reported": [number.text for _, number in rows],
            }
        )
    if as_json:
        click.echo(json.dumps(items, indent=1))
        return 0
    for title, chosen in (
        ("Verified (percent):", [item for item in items if item["verified_on"]]),
        ("Not yet run:", [item for item in items if not item["verified_on"]]),
    ):
        say(title)
        for item in chosen:
            say(f"  {item['name']}: {item['about']}")
            if item["verified_on"]:
                changed = "; the code of the method has changed since" if item["source_changed"] else ""
                say(f"      {item['metric']} {item['expected']}")
                say(f"      on {item['verified_on']}{changed}")
            else:
                reported = f"reported {' and '.join(item['reported'])} ({item['metric']})" if item["reported"] else ""
                needs = f"needs {item['needs']} (estimated)" if item["needs"] else ""
                say(f"      {'; '.join(filter(None, [reported, needs]))}".rstrip())
    return 0
