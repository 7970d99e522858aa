"""`clbench resume`: continue a run from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cl.cli.completers import complete
from cl.cli.perform import perform
from cl.cli.shared import Display, Execution, display_options, execution_options, run_option


@click.command("resume", short_help="continue a run from its folder")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FOLDER...")
@run_option("device", help="Compute elsewhere than before: auto, cpu, cuda, cuda:1.")
@execution_options(existing=False)
@run_option("save_learner", help="Save the trained learner, as `clbench run --save-learner` does.")
@run_option(
    "loggers", "--logger", multiple=True, metavar="NAME[,NAME]", shell_complete=complete("loggers"),
    help="Report to these loggers instead of the run's own; none: no logger.",
)  # fmt: skip
@display_options
def command(
    folders: tuple[Path, ...], device: str | None, save_learner: bool | None, loggers: tuple[str, ...],
    execution: Execution, display: Display,
) -> int:  # fmt: skip
    """Continue runs with their own configuration; complete runs are only shown.

    FOLDER is the folder of a run, as `clbench run` prints it, or a folder that contains several.
    """
    import dataclasses

    from cl.loggers import check as check_loggers
    from cl.plan.plan import load_plan

    changes: dict[str, Any] = {"device": device, "save_learner": save_learner}
    if loggers:
        changes["loggers"] = check_loggers(",".join(loggers).split(","))
    changes = {name: value for name, value in changes.items() if value is not None}
    plans = [dataclasses.replace(load_plan(folder), **changes) for given in folders for folder in _runs(given)]
    return perform(plans, execution, display)


def _runs(folder: Path) -> list[Path]:
    """The folder itself if it holds a run, else every run below it."""
    from cl.plan.config_file import CONFIG

    if (folder / CONFIG).is_file():
        return [folder]
    return sorted(path.parent for path in folder.rglob(CONFIG)) or [folder]
