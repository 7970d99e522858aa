"""`clbench run`: strategies on streams, a resumable grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cl.cli.completers import complete, complete_key, complete_preset
from cl.cli.perform import perform
from cl.cli.shared import display_options, execution_options, names_in, seeds_in, set_up, streams_in

_GROUPS = {
    "What to run": ("strategy", "stream", "backbone", "seed", "order_seed", "init_seed", "data_seed"),
    "Options of the method, the stream and the backbone": ("config", "preset", "assignments"),
    "How much": ("few_shot", "setting", "limit", "max_tasks", "dry_run"),
    "How and where": ("device", "precision", "workers", "results", "existing", "checkpoint_every", "save_learner"),
    "Display": ("progress", "loggers", "as_json", "quiet", "verbose", "help"),
}

_EPILOG = """\b
Examples:
  clbench run -s slca --stream split-digits                     the embedded default, no download
  clbench run -s finetune,slca --stream split-cifar100 --seed 1993,1996,1997
  clbench run -s slca --stream split-cifar100 --set lr=0.02 --set stream.tasks=20
  clbench run -s slca --stream split-cifar100 --backbone vit_base_patch16_224.augreg_in21k
  clbench run -s slca --stream folder:/data/birds --limit 20 --dry-run
  clbench run -s simplecil --stream split-cifar100 --few-shot   60 classes, then 8 x 5 with 5 images each
  clbench run -s replay --stream split-digits --setting online  one pass, 10 images at a time
  clbench run -c results/.../config.toml --seed 7               the same with another seed

\b
Values, lowest precedence first: default, preset, config file, CLBENCH_SET, --set. The record says
where each came from. A config file is TOML with [run] (the options above, such as max_tasks = 3)
and [options] (the keys of --set). What is complete is skipped and what was stopped continues, so the
same command finishes a grid."""


class _Grouped(click.Command):
    """Options under headings instead of one long list."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        records = {parameter.name: parameter.get_help_record(ctx) for parameter in self.get_params(ctx)}
        for heading, names in _GROUPS.items():
            with formatter.section(heading):
                formatter.write_dl([record for name in names if (record := records.get(name)) is not None])


@click.command("run", cls=_Grouped, epilog=_EPILOG, short_help="run strategies on streams")
@click.option(
    "-s",
    "--strategy",
    multiple=True,
    metavar="NAME[,NAME]",
    shell_complete=complete("strategies"),
    help="Strategies; repeat or separate by commas.",
)
@click.option(
    "--stream", multiple=True, metavar="NAME[,NAME]", shell_complete=complete("streams"), help="Streams, likewise."
)
@click.option(
    "-b",
    "--backbone",
    metavar="NAME",
    shell_complete=complete("backbones"),
    help="Any timm model as arch.tag, arch@file or arch@random.  [default: the embedded one]",
)
@click.option("--seed", multiple=True, metavar="N[,N]", help="Seeds, likewise; sets the three below.  [default: 1993]")
@click.option("--order-seed", type=int, metavar="N", help="Seed of the class order alone.")
@click.option("--init-seed", type=int, metavar="N", help="Seed of new parameters alone.")
@click.option("--data-seed", type=int, metavar="N", help="Seed of batches and augmentation alone.")
@click.option(
    "-c", "--config", type=click.Path(path_type=Path), metavar="FILE", help="TOML file with [run] and [options]."
)
@click.option(
    "--preset",
    metavar="NAME",
    shell_complete=complete_preset,
    help="A named variant of the paper's values; see `clbench info STRATEGY`.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    allow_from_autoenv=False,
    shell_complete=complete_key,
    help="lr=0.01, stream.tasks=5, backbone.normalize=half, ...; repeatable.",
)
@click.option(
    "--few-shot",
    is_flag=True,
    help="60 % of the classes first, the others in eight tasks with 5 images per class (stream.shots=5).",
)
@click.option(
    "--setting",
    metavar="NAME[,NAME]",
    help="How the images arrive: online, i-blurry, si-blurry, long-tailed (stream.setting; options in the docs).",
)
@click.option("--limit", metavar="N|SHARE", help="N images per class, or a share such as 0.1; never ranked.")
@click.option("--max-tasks", type=click.IntRange(min=1), metavar="N", help="Learn the first N tasks only; unranked.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, touch nothing.")
@execution_options
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), envvar="CLBENCH_PRECISION", help="[default: fp32]")
@click.option(
    "--checkpoint-every",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How often to save inside a task.  [default: 30]",
)
@click.option(
    "--save-learner",
    is_flag=True,
    default=None,
    help="Keep the trained learner in the run's folder, for cl.load_learner(FOLDER).",
)
@click.option(
    "--logger",
    "loggers",
    multiple=True,
    metavar="NAME[,NAME]",
    shell_complete=complete("loggers"),
    help="Report losses and metrics there too, such as tensorboard.  [env CLBENCH_LOGGER]",
)
@display_options
def command(
    strategy: tuple[str, ...],
    stream: tuple[str, ...],
    seed: tuple[str, ...],
    config: Path | None,
    assignments: tuple[str, ...],
    loggers: tuple[str, ...],
    dry_run: bool,
    workers: int | None,
    existing: str,
    progress: str,
    as_json: bool,
    quiet: bool,
    verbose: int,
    **arguments: Any,
) -> int:
    """Run strategies on streams and print how much each forgets.

    Several strategies, streams and seeds make a grid.
    """
    from cl import api
    from cl.options import parse_assignments
    from cl.plan.plan import grid

    set_up(quiet, verbose)
    plans = grid(
        names_in(strategy),
        streams_in(stream),
        seeds_in(seed),
        config_file=config,
        settings=parse_assignments(assignments),
        origin="command line",
        loggers=",".join(loggers) or None,
        **arguments,
    )
    if dry_run:
        from cl.cli.dry_run import describe

        return describe(plans, as_json)
    if workers is not None:
        import torch

        torch.set_num_threads(workers)
    return perform(
        plans,
        execute=lambda plan, show: api.execute(plan, existing=existing, progress=show),
        progress=progress,
        as_json=as_json,
        quiet=quiet,
    )
