"""`clbench config`: a run's configuration as resolved, with the origin of every value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cl.cli.commands.run import command as run_command
from cl.cli.commands.run import planned
from cl.cli.perform import show_skipped
from cl.cli.shared import Display
from cl.cli.text import say
from cl.plan.run_options import declared

if TYPE_CHECKING:
    from cl.plan.plan import Plan

_EPILOG = """\b
Examples:
  clbench config -s slca --stream split-cifar100 --set lr=0.02
  clbench config -s slca --stream split-digits --output slca.toml    then: clbench run -c slca.toml
  clbench config results/split-digits/slca/.../seed1993              that of a run
  clbench config RUN_A RUN_B                                         what differs between two runs

\b
The hash covers everything that changes a result, except seeds; it is part of the run's folder name."""

_ELSEWHERE = ("device", "results", "checkpoint_every", "save_learner", "save_every_task", "save_scores", "loggers")
_SHARED = {*declared(), "config", "assignments", "from_run", "from_task"} - {*_ELSEWHERE}
"""Options of `clbench run` that change a configuration; they mean the same here."""


@click.command("config", epilog=_EPILOG, short_help="a run's configuration as resolved")
@click.argument("runs", nargs=-1, metavar="[RUN [RUN]]", type=click.Path(path_type=Path))
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Also write a config file."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@click.pass_context
def command(ctx: click.Context, runs: tuple[Path, ...], output: Path | None, as_json: bool, **arguments: Any) -> int:
    """Show the configuration of a planned run or of the run in a folder; or compare two runs.

    Every value comes with its origin: default, preset, config file, environment or command line.
    """
    from cl.errors import UsageError
    from cl.plan.plan import load_plan

    typed = click.core.ParameterSource.COMMANDLINE
    given = [name for name in arguments if ctx.get_parameter_source(name) is typed]
    if runs and given:
        [written] = [max(each.opts, key=len) for each in ctx.command.params if each.name == given[0]]
        raise UsageError(f"Give the folder of a run or options such as {written}, not both.")
    if len(runs) > 2:
        raise UsageError("Give one run to show it, or two to compare them.")
    if len(runs) == 2:
        if output is not None:
            raise UsageError("--output writes one configuration; give one run.")
        return _compare(load_plan(runs[0]), load_plan(runs[1]), as_json)
    plans = [load_plan(runs[0])] if runs else _resolved(arguments)
    if output is not None:
        if len(plans) > 1:
            raise UsageError(
                f"--output writes one configuration, and this is a grid of {len(plans)}; name one of each."
            )
        from cl.files import write_text

        write_text(output, plans[0].to_toml())
        click.echo(f"Wrote {output}; `clbench run -c {output}` runs it.", err=True)
    for plan in plans:
        if as_json:
            click.echo(json.dumps(_about(plan), sort_keys=True))
        else:
            _print(plan)
    return 0


command.params[1:1] = [parameter for parameter in run_command.params if parameter.name in _SHARED]


def _resolved(arguments: dict[str, Any]) -> Sequence[Plan]:
    found = planned(**arguments)
    show_skipped(found.skipped, Display())
    return found.plans


def _run(plan: Plan) -> dict[str, Any]:
    """The parts of a plan other than its options."""
    from cl.errors import counted

    parent = plan.parent
    return {
        "strategy": plan.strategy,
        "stream": plan.stream,
        "backbone": plan.backbone,
        "preset": plan.preset,
        "seeds": dict(plan.seeds),
        "precision": plan.precision,
        "compile": plan.compile,
        "limit": plan.limit,
        "max_tasks": plan.max_tasks,
        "probe": plan.probe,
        "probe_last": plan.probe_last or None,
        "continues": None if parent is None else f"{parent.folder} after {counted(parent.tasks, 'task')}",
    }


def _about(plan: Plan) -> dict[str, Any]:
    recorded = _recorded_hash(plan)
    return {
        "run": _run(plan),
        "config_hash": plan.config_hash if recorded is None else recorded,
        "config_hash_now": plan.config_hash,
        "folder": str(plan.folder),
        "untuned": plan.untuned,
        "config": plan.config(),
    }


def _recorded_hash(plan: Plan) -> str | None:
    """The hash in the record of an existing run; it differs from the plan's if a version was raised since."""
    from cl.records.record import RECORD, config_hash, load

    path = plan.folder / RECORD
    if plan.at is None or not path.is_file():
        return None
    return config_hash(load(path))


def _print(plan: Plan) -> None:
    about = _about(plan)
    for name, value in about["run"].items():
        if value is not None:
            text = ", ".join(f"{key} {seed}" for key, seed in value.items()) if name == "seeds" else value
            say(f"{name:<10} {text}", hang=11)
    click.echo(f"{'folder':<10} {about['folder']}")
    click.echo(f"{'hash':<10} {about['config_hash']}")
    if about["config_hash"] != about["config_hash_now"]:
        say(f"{'':<10} {about['config_hash_now']} with the present versions of strategy and stream")
    if plan.untuned:
        click.echo(f"{'presets':<10} none fits (untuned)")
    width = max(len(key) for key in about["config"])
    for key, each in about["config"].items():
        say(f"  {key:<{width}}  {each['value']}  [{each['origin']}]", hang=width + 4)
    click.echo()


def _compare(first: Plan, second: Plan, as_json: bool) -> int:
    """Print the differences between two configurations."""
    sides = [{**_run(plan), **{key: each.value for key, each in plan.values.items()}} for plan in (first, second)]
    keys = [key for key in dict.fromkeys([*sides[0], *sides[1]]) if sides[0].get(key) != sides[1].get(key)]
    if as_json:
        click.echo(json.dumps({key: [side.get(key) for side in sides] for key in keys}, default=list))
    elif not keys:
        click.echo(f"The same configuration and seeds ({first.config_hash}).")
    else:
        from cl.cli.text import print_table

        print_table(["key", "first", "second"], [[key, *(str(side.get(key, "-")) for side in sides)] for key in keys])
    return 0
