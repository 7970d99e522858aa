"""The options that say what to run, for `clbench run` and `clbench sweep`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cl.cli.completers import complete, complete_key, complete_preset, complete_probe
from cl.cli.shared import Execution, gathered, run_option
from cl.errors import UsageError
from cl.plan.devices import UTILISATION

if TYPE_CHECKING:
    from cl.cli.grid_estimate import Asked

F = TypeVar("F", bound=Callable[..., Any])


def what_to_run(*, many_presets: bool = False) -> Callable[[F], F]:
    """Names, seeds, options and the amount: all of `clbench run` but --config and the options of execution."""
    preset: dict[str, Any] = {"multiple": True, "metavar": "NAME[,NAME]"} if many_presets else {"metavar": "NAME"}
    options = [
        *_names(),
        run_option("seed", multiple=True, metavar="N[,N]"),
        *(run_option(f"{name}_seed", metavar="N") for name in ("order", "init", "data")),
        run_option("preset", shell_complete=complete_preset, **preset),
        click.option(
            "--set",
            "assignments",
            multiple=True,
            metavar="[METHOD.]KEY=VALUE",
            allow_from_autoenv=False,
            shell_complete=complete_key,
            help="lr=0.01, stream.tasks=5, backbone.normalize=half; slca.lr=0.02 for one method only; lr=0.01,0.02 "
            "for one run each; repeatable.",
        ),
        run_option("few_shot"),
        run_option("setting", metavar="NAME[,NAME]", type=str),
        run_option("limit", metavar="N|SHARE"),
        run_option("max_tasks", metavar="N"),
        run_option("skip_damaged"),
        run_option("sealed"),
        run_option("stop_below", metavar="SHARE[,SHARE]", type=str),
        run_option("probe", metavar="NAME", shell_complete=complete_probe),
        run_option("probe_last"),
    ]
    return _all(options)


def how_to_run() -> Callable[[F], F]:
    """Device, precision, folder and what is kept: options of `RunOptions` that do not change what is learned."""
    return _all(
        [
            run_option("device", metavar="NAME"),
            run_option("precision"),
            run_option("compile"),
            run_option("results", metavar="FOLDER"),
            run_option("checkpoint_every", metavar="SECONDS"),
            run_option("save_learner"),
            run_option("save_every_task"),
            run_option("save_scores"),
            run_option("loggers", "--logger", multiple=True, metavar="NAME[,NAME]", shell_complete=complete("loggers")),
        ]
    )


@dataclass(frozen=True)
class Costs:
    """The options of a dry run."""

    dry_run: bool
    device_model: str
    devices: int | None
    utilisation: float
    speeds_from: tuple[str, ...]
    measure: bool
    published: bool

    def asked(self, execution: Execution, runs_per_process: int | None = None) -> Asked:
        """What is asked of the estimate; raises `UsageError` for an unknown device.

        `runs_per_process` is that of the executor; by default one process executes all runs, unless there are jobs.
        """
        from cl.cli.grid_estimate import Asked

        return Asked(
            self.device_model, self.devices, self.utilisation, self.speeds_from, self.measure,
            execution.jobs, execution.threads, self.published,
            runs_per_process if runs_per_process is not None or execution.jobs == 1 else 1,
        )  # fmt: skip


def cost_options(command: F) -> F:
    """--dry-run and the options of its estimate, passed to the command as one `costs`."""
    options = [
        click.option(
            "--dry-run", is_flag=True, help="Print what would be done, check that it can begin, and change nothing."
        ),
        click.option(
            "--device-model",
            metavar="NAME[,NAME]",
            help="With --dry-run: the time on these GPUs, such as A100-80,H200.",
        ),
        click.option(
            "--devices",
            type=click.IntRange(1),
            metavar="N",
            help="With --dry-run: the time on a cluster of N such GPUs.",
        ),
        click.option(
            "--utilisation",
            type=click.FloatRange(0, 1, min_open=True),
            default=UTILISATION,
            show_default=True,
            metavar="SHARE",
            help="With --dry-run: share of a GPU's published peak that training reaches.",
        ),
        click.option(
            "--speeds-from",
            multiple=True,
            metavar="FOLDER",
            type=click.Path(exists=True),
            help="With --dry-run: records that show how fast this machine is, besides those in --results; repeatable.",
        ),
        click.option(
            "--measure", is_flag=True, help="With --dry-run: time each backbone for two seconds if no record does."
        ),
        click.option(
            "--published",
            is_flag=True,
            help="With --dry-run: estimate for all images of a dataset as published, of which fewer may be here.",
        ),
    ]

    def gather(
        dry_run: bool, device_model: str | None, devices: int | None, utilisation: float,
        speeds_from: tuple[str, ...], measure: bool, published: bool,
    ) -> Costs:  # fmt: skip
        if not dry_run and (device_model or devices or speeds_from or measure or published):
            flags = "--device-model, --devices, --speeds-from, --measure and --published"
            raise UsageError(f"{flags} are for --dry-run; add it, or leave them out.")
        return Costs(dry_run, device_model or "", devices, utilisation, speeds_from, measure, published)

    return gathered(command, options, "costs", gather)


def _names() -> list[Callable[[F], F]]:
    many: dict[str, Any] = {"multiple": True, "metavar": "NAME[,NAME]"}
    return [
        run_option("strategy", "-s", "--strategy", shell_complete=complete("strategies"), **many),
        run_option("stream", shell_complete=complete("streams"), **many),
        run_option(
            "backbone", "-b", "--backbone", shell_complete=complete("backbones"), default_text="the embedded one",
            **many,
        ),
    ]  # fmt: skip


def _all(options: list[Callable[[F], F]]) -> Callable[[F], F]:
    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
