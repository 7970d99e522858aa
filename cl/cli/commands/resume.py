"""`clbench resume`: continue a run from its folder."""

from __future__ import annotations

from pathlib import Path

import click

from cl.cli.completers import complete
from cl.cli.perform import perform
from cl.cli.shared import display_options, set_up


@click.command("resume", short_help="continue a run from its folder")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FOLDER...")
@click.option("--device", envvar="CLBENCH_DEVICE", help="Compute elsewhere than before: auto, cpu, cuda, cuda:1.")
@click.option("--save-learner", is_flag=True, help="Keep the trained learner, as `clbench run --save-learner` does.")
@click.option(
    "--logger", "loggers", multiple=True, metavar="NAME[,NAME]", shell_complete=complete("loggers"),
    help="Report to these instead of those the run began with; none for none.",
)  # fmt: skip
@display_options
def command(
    folders: tuple[Path, ...], device: str | None, save_learner: bool, loggers: tuple[str, ...],
    progress: str, as_json: bool, quiet: bool, verbose: int,
) -> int:  # fmt: skip
    """Continue runs exactly as they were configured; complete ones are shown as they are.

    FOLDER is the folder of a run, as `clbench run` prints it, or one that holds several.
    """
    import dataclasses

    from cl import api
    from cl.loggers import check as check_loggers
    from cl.plan.plan import load_plan

    set_up(quiet, verbose)
    found = [folder for given in folders for folder in _runs(given)]
    plans = [load_plan(folder) for folder in found]
    if device is not None:
        plans = [dataclasses.replace(plan, device=device) for plan in plans]
    if save_learner:
        plans = [dataclasses.replace(plan, save_learner=True) for plan in plans]
    if loggers:
        chosen = check_loggers(",".join(loggers).split(","))
        plans = [dataclasses.replace(plan, loggers=chosen) for plan in plans]
    return perform(
        plans,
        execute=lambda plan, show: api.execute(plan, progress=show),
        progress=progress,
        as_json=as_json,
        quiet=quiet,
    )


def _runs(folder: Path) -> list[Path]:
    """The folder itself when it holds a run, else every run below it."""
    if (folder / "config.toml").is_file():
        return [folder]
    return sorted(path.parent for path in folder.rglob("config.toml")) or [folder]
