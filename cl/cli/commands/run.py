"""`clbench run`: strategies on streams, a resumable grid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cl.cli.perform import perform, show_skipped
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

if TYPE_CHECKING:
    from cl.cli.what_to_run import Costs
    from cl.plan.grids import Grid

_GROUPS = {
    "What to run": ("strategy", "stream", "backbone", "seed", "order_seed", "init_seed", "data_seed"),
    "Go on from a finished run": ("from_run", "from_task"),
    "Options of the method, the stream and the backbone": ("config", "preset", "assignments"),
    "How much": (
        "few_shot",
        "setting",
        "limit",
        "max_tasks",
        "skip_damaged",
        "sealed",
        "stop_below",
        "probe",
        "probe_last",
    ),
    "What it would cost": ("dry_run", "device_model", "devices", "utilisation", "speeds_from", "measure", "published"),
    "How and where": (
        *("device", "precision", "compile", "threads", "jobs", "results", "existing", "checkpoint_every"),
        *("save_learner", "save_every_task", "save_scores", "profile"),
    ),
    "Display": ("progress", "loggers", "as_json", "quiet", "verbose", "help"),
}

_EPILOG = """\b
Examples:
  clbench run -s slca --stream split-digits                     the embedded default, no download
  clbench run -s finetune,slca --stream split-cifar100 --seed 1993,1996,1997
  clbench run -s slca --stream split-cifar100 --set lr=0.02 --set stream.tasks=20
  clbench run -s slca --stream split-cifar100 --backbone vit_base_patch16_224.augreg_in21k
  clbench run -s slca,finetune --stream split-digits --set epochs=1,2 --set slca.lr=0.01,0.02 --jobs 2
  clbench run -s slca --stream folder:/data/birds --limit 20 --dry-run
  clbench run -s slca,finetune --stream split-digits --dry-run --device-model A100-80,H200 --devices 8
  clbench run -s simplecil --stream split-cifar100 --few-shot   60 classes, then 8 x 5 with 5 images each
  clbench run -s replay --stream split-digits --setting online  one pass, 10 images at a time
  clbench run -s finetune --stream split-cifar100 --probe tinyimagenet_60   and forgetting of the pretraining
  clbench run -c results/.../config.toml --seed 7               the same with another seed
  clbench run -s slca --stream split-digits --profile           and where the time went
  clbench run --from RUN --stream folder:/data/new              its learner goes on with new tasks
  clbench run --from RUN --at 3                                 goes on after its third task

\b
Values, lowest precedence first: default, preset, config file, CLBENCH_SET, --set. The record says
where each came from. A config file is TOML with [run] (the options above, such as max_tasks = 3)
and [options] (the keys of --set); strategy, stream, backbone and seed may be lists there. What is
complete is skipped and what was stopped continues, so the same command finishes a grid.

\b
Several values of an option: --set lr=0.01,0.02 makes two runs. An option that is itself a list or free
text may hold commas, so each of its values is in brackets: --set "milestones=[100,150],[80]".
--set slca.lr=0.02 is for slca alone. A method that is not right on a stream is left out of the grid.
Shells and machines that share a results folder share a grid with --existing skip-running."""


class _Grouped(click.Command):
    """A command whose help groups options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        records = {parameter.name: parameter.get_help_record(ctx) for parameter in self.get_params(ctx)}
        for heading, names in _GROUPS.items():
            with formatter.section(heading):
                formatter.write_dl([record for name in names if (record := records.get(name)) is not None])


@click.command("run", cls=_Grouped, epilog=_EPILOG, short_help="run strategies on streams")
@what_to_run()
@click.option(
    "-c", "--config", type=click.Path(path_type=Path), metavar="FILE", help="TOML file with [run] and [options]."
)
@click.option(
    "--from", "from_run", type=click.Path(path_type=Path), metavar="FOLDER",
    help="A run whose saved learner goes on: on the tasks of --stream, or else on the rest of its own stream.",
)  # fmt: skip
@click.option(
    "--at", "from_task", type=click.IntRange(1), metavar="N",
    help="With --from: go on after its task N (needs --save-every-task there).  [default: all that it learned]",
)  # fmt: skip
@cost_options
@how_to_run()
@execution_options()
@display_options
def command(costs: Costs, execution: Execution, display: Display, **chosen: Any) -> int:
    """Run strategies on streams and print how much each forgets.

    Several strategies, streams, backbones, seeds and values of an option make a grid.
    """
    found = planned(**chosen)
    show_skipped(found.skipped, display)
    if costs.dry_run:
        from cl.cli.dry_run import describe

        return describe(found.plans, display.as_json, execution.existing, costs.asked(execution))
    return perform(found.plans, execution, display)


def planned(
    strategy: tuple[str, ...],
    stream: tuple[str, ...],
    backbone: tuple[str, ...],
    seed: tuple[str, ...],
    config: Path | None,
    assignments: tuple[str, ...],
    loggers: tuple[str, ...] = (),
    from_run: Path | None = None,
    from_task: int | None = None,
    **run_options: Any,
) -> Grid:
    """The grid of runs for these options; a single one with --from. Raises `UsageError`."""
    from cl.errors import UsageError
    from cl.options import parse_assignments
    from cl.plan.grids import Grid, grid
    from cl.plan.plan import make_plan

    if from_run is not None or from_task is not None:
        lists = {"strategy": names_in(strategy), "stream": streams_in(stream), "backbone": backbones_in(backbone)}
        names: dict[str, Any] = {**lists, "seed": seeds_in(seed)}
        if several := [name for name, values in names.items() if len(values) > 1]:
            raise UsageError(f"--from makes one run; name one --{several[0]}, or none.")
        plan = make_plan(
            options=parse_assignments(assignments), config_file=config, origin="command line", from_run=from_run,
            from_task=from_task, loggers=",".join(loggers) or None,
            **{name: values[0] for name, values in names.items()}, **run_options,
        )  # fmt: skip
        return Grid((plan,))

    return grid(
        names_in(strategy),
        streams_in(stream),
        seeds_in(seed),
        backbones_in(backbone),
        options=parse_assignments(assignments),
        config_file=config,
        origin="command line",
        loggers=",".join(loggers) or None,
        **run_options,
    )
