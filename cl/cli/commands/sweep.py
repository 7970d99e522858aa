"""`clbench sweep`: a grid of many runs on one machine or many, its state, and its failures again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cl.cli.perform import show_skipped
from cl.cli.shared import (
    Display,
    Execution,
    backbones_in,
    display_options,
    execution_options,
    names_in,
    seeds_in,
    streams_in,
)
from cl.cli.what_to_run import cost_options, how_to_run, what_to_run
from cl.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from cl.cli.what_to_run import Costs
    from cl.plan.plan import Plan
    from cl.plan.sweeps import Axes, Sweep

F = TypeVar("F", bound=Callable[..., Any])

_EPILOG = """\b
Examples:
  clbench sweep GRID.toml --jobs 4                   four runs at once on this machine
  clbench sweep GRID.toml --dry-run                  how many runs, and what they will cost (-v: each of them)
  clbench sweep GRID.toml --dry-run --device-model H200 --devices 8
  clbench sweep -s slca,mos --stream split-cifar100 --seed 1993,1996,1997 --set lr=0.01,0.02
  clbench sweep GRID.toml --executor ray --executor-set address=auto
  clbench sweep status GRID.toml                     from any machine that sees the results
  clbench sweep retry GRID.toml                      the runs that failed (--dry-run: which, and their costs)

\b
GRID.toml has lists, and every combination is a run:
  strategies = ["slca", "mos"]
  streams = ["split-cifar100"]
  seeds = [1993, 1996, 1997]
  [options]                                          the keys of --set
  "stream.train_per_class" = 100
  "slca.lr" = [0.01, 0.02]                           a list is an axis
  [run]                                              the other options of `clbench run`
  precision = "bf16"
  [executor]
  name = "local"
  jobs = 4
Several grids are tables [[grid]] with these keys. Options of the command line replace those of the file.

\b
Runs that are complete are skipped and stopped ones continue, so the same command finishes a sweep. A failed
run does not stop the others; the failures are listed at the end, each with the command that repeats it."""


class _Sweep(click.Group):
    """`clbench sweep FILE` and `clbench sweep --option` are `clbench sweep start`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ("-h", "--help"):
            args = ["start", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        hint = did_you_mean(args[0], list(self.commands))
        if args[0] not in self.commands and hint and not Path(args[0]).exists():
            ctx.fail(f"There is no sweep file {args[0]}.{hint}")
        return super().resolve_command(ctx, args if args[0] in self.commands else ["start", *args])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or self.commands["start"]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["start", "status", "retry"]


@click.group("sweep", cls=_Sweep, epilog=_EPILOG, short_help="a grid of many runs, here or on a cluster")
def command() -> None:
    """Run a grid from a file or from options, on one machine or many.

    GRID.toml [OPTIONS] starts or continues it; `clbench sweep start --help` lists the options.
    """


def _sweep_options(decorated: F) -> F:
    options = [
        click.argument("file", required=False, metavar="[GRID.toml]", type=click.Path(path_type=Path)),
        what_to_run(many_presets=True),
        how_to_run(),
    ]
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def _executor_options(decorated: F) -> F:
    options = [
        click.option(
            "--executor",
            metavar="NAME",
            help="local, ray, slurm, or that of a plugin; see `clbench list executors`.  [default: that of the file, "
            "else local]",
        ),
        click.option(
            "--executor-set",
            "executor_assignments",
            multiple=True,
            metavar="KEY=VALUE",
            help="An option of the executor; see `clbench info EXECUTOR`; repeatable.",
        ),
        execution_options(profile=False, default="skip-running"),
        display_options,
    ]
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


@command.command("start", short_help="start or continue a grid (the default)")
@_sweep_options
@cost_options
@_executor_options
def start(**given: Any) -> int:
    """Run every combination of a grid that is not complete yet."""
    return _perform(lambda plans, _: plans, **given)


@command.command("retry", short_help="run again what failed")
@_sweep_options
@cost_options
@_executor_options
def retry(**given: Any) -> int:
    """Run the runs again whose last attempt failed; a stopped attempt continues from its checkpoint."""
    from cl.executors.journal import key_of
    from cl.running.standing import standing_of

    def failed(plans: Sequence[Plan], last: Any) -> list[Plan]:
        chosen = []
        for plan in plans:
            attempt = last.get(key_of(plan))
            kind = standing_of(plan).kind
            if kind == "failed" or (kind in ("new", "stopped") and attempt is not None and attempt.ended == "failed"):
                chosen.append(plan)
        return chosen

    return _perform(failed, **given)


@command.command("status", short_help="how its runs stand")
@_sweep_options
@click.option("--json", "as_json", is_flag=True, help="One JSON line per run.")
def status(file: Path | None, as_json: bool, **chosen: Any) -> int:
    """Show how the runs of a grid stand, from any machine that sees the results folder.

    Ends with 1 if a run failed, else with 0.
    """
    from cl.cli.sweep_status import show
    from cl.executors.journal import Journal

    sweep, only = _asked(file, **chosen)
    found = _plans(sweep, only)
    return show(found.plans, Journal(found.plans[0].results, sweep.name).last(), as_json)


def _perform(
    choose: Callable[[Sequence[Plan], Any], Sequence[Plan]],
    *,
    file: Path | None,
    executor: str | None,
    executor_assignments: tuple[str, ...],
    execution: Execution,
    display: Display,
    costs: Costs,
    **chosen: Any,
) -> int:
    from cl.cli.perform import carry_out
    from cl.cli.sweep_screen import SweepScreen
    from cl.executors.base import make_executor
    from cl.executors.journal import Journal
    from cl.options import parse_assignments

    sweep, only = _asked(file, **chosen)
    found = _plans(sweep, only)
    show_skipped(found.skipped, display)
    table = dict(sweep.executor)
    name = executor if executor is not None else str(table.get("name", "local"))
    options = {} if executor not in (None, table.get("name", "local")) else table
    options.pop("name", None)
    assigned = parse_assignments(executor_assignments, where="--executor-set", example="--executor-set jobs=4")
    if name == "local" and _jobs_given():
        if "jobs" in assigned:
            raise UsageError("--jobs and --executor-set jobs are the same; give one of them.")
        assigned["jobs"] = str(execution.jobs)
    layers = [(f"[executor] of {file}", options), ("--executor-set", assigned)]
    made = make_executor(
        name, layers, existing=execution.existing, threads=execution.threads, log_level=display.log_level,
        lines=not display.quiet and display.progress != "none",
    )  # fmt: skip
    journal = Journal(found.plans[0].results, sweep.name)
    plans = choose(found.plans, journal.last())
    if not plans:
        click.echo("Nothing is to be repeated: no run of this sweep failed.", err=True)
        return 0
    if costs.dry_run:
        from cl.cli.dry_run import describe

        at_once = dataclasses.replace(execution, jobs=made.at_once(plans))
        each = display.verbose > 0 or display.as_json
        asked = costs.asked(at_once, made.runs_per_process(plans))
        return describe(plans, display.as_json, execution.existing, asked, each=each)
    screen = SweepScreen(plans, display, journal, made.at_once(plans), execution.threads)
    with screen:
        code = carry_out(made, plans, screen)
    screen.summary(detached=made.detaches)
    return code


def _jobs_given() -> bool:
    source = click.get_current_context().get_parameter_source("jobs")
    return source not in (None, click.core.ParameterSource.DEFAULT)


def _asked(
    file: Path | None,
    strategy: tuple[str, ...],
    stream: tuple[str, ...],
    backbone: tuple[str, ...],
    seed: tuple[str, ...],
    preset: tuple[str, ...],
    assignments: tuple[str, ...],
    loggers: tuple[str, ...],
    **run: Any,
) -> tuple[Sweep, Axes]:
    """The sweep of the file, or an empty one, and what the command line says."""
    from cl.options import parse_assignments
    from cl.plan.sweeps import Axes, Sweep, read_sweep

    def given(names: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(name for name in names if name is not None)

    if loggers:
        run["loggers"] = ",".join(loggers)
    only = Axes(
        strategies=given(names_in(strategy)),
        streams=given(streams_in(stream)),
        backbones=given(backbones_in(backbone)),
        presets=given(names_in(preset)),
        seeds=given(seeds_in(seed)),
        options=parse_assignments(assignments),
        run={key: value for key, value in run.items() if value is not None},
    )
    return (read_sweep(file) if file is not None else Sweep("sweep", (Axes(),), named=False)), only


def _plans(sweep: Sweep, only: Axes) -> Any:
    from cl.plan.sweeps import plans_of

    return plans_of(sweep, only)
