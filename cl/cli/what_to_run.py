"""The options that say what to run, for `clbench run` and `clbench sweep`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from cl.cli.completers import complete, complete_key, complete_preset, complete_probe
from cl.cli.shared import run_option

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
            run_option("save_scores"),
            run_option("loggers", "--logger", multiple=True, metavar="NAME[,NAME]", shell_complete=complete("loggers")),
        ]
    )


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
