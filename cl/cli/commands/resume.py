"""`clbench resume`: continue a run from its folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cl.cli.app import report
from cl.cli.completers import complete
from cl.cli.perform import perform
from cl.cli.shared import Display, Execution, display_options, execution_options, run_option
from cl.errors import INTERRUPTED, TERMINATED, ClbenchError, sentence

if TYPE_CHECKING:
    from cl.plan.plan import Plan


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

    FOLDER is the folder of a run, as `clbench run` prints it, or a folder that contains several. A run whose
    config.toml is damaged is named, and the others continue.
    """
    import dataclasses

    from cl.loggers import check as check_loggers

    changes: dict[str, Any] = {"device": device, "save_learner": save_learner}
    if loggers:
        changes["loggers"] = check_loggers(",".join(loggers).split(","))
    changes = {name: value for name, value in changes.items() if value is not None}
    plans: list[Plan] = []
    codes: list[int] = []
    for folder in dict.fromkeys(run for given in folders for run in _runs(given)):
        try:
            plans.append(dataclasses.replace(_plan(folder), **changes))
        except ClbenchError as error:
            report(error)
            codes.append(error.exit_code)
    code = perform(plans, execution, display) if plans else 0
    if plans and codes:
        click.echo(f"{len(codes)} of {len(codes) + len(plans)} runs could not be read; see above.", err=True)
    return code if code in (INTERRUPTED, TERMINATED) else (*codes, code)[0]


def _plan(folder: Path) -> Plan:
    """The plan of the run in a folder; every error names its config.toml."""
    from cl.plan.config_file import CONFIG
    from cl.plan.plan import load_plan

    file = folder / CONFIG
    try:
        return load_plan(folder)
    except ClbenchError as error:
        if str(folder) in str(error):
            raise
        raise type(error)(f"{file}: {sentence(error)}") from error


def _runs(folder: Path) -> list[Path]:
    """The folder itself if it holds a run, else every run below it, also unfinished ones without a config.toml."""
    from cl.plan.config_file import CONFIG

    if os.path.isfile(folder / CONFIG):
        return [folder]
    found: list[Path] = []

    def refused(error: OSError) -> None:
        found.append(Path(os.fsdecode(error.filename)))

    for place, folders, files in os.walk(folder, onerror=refused):
        if CONFIG in files or "checkpoint" in folders:
            found.append(Path(place))
    return sorted(found) or [folder]
