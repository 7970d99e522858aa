"""The options that say what to run are the same for `run` and `sweep`, and every option of a run is there."""

from __future__ import annotations

from cl.cli.commands.run import command as run
from cl.cli.commands.sweep import retry, start, status
from cl.plan.run_options import declared


def test_every_option_of_a_run_is_one_of_both_commands() -> None:
    of_run = {parameter.name for parameter in run.params}
    assert set(declared()) <= of_run
    for command in (start, retry, status):
        names = {parameter.name for parameter in command.params}
        assert set(declared()) <= names and "assignments" in names and "config" not in names


def test_only_a_sweep_takes_several_presets() -> None:
    (one,) = [parameter for parameter in run.params if parameter.name == "preset"]
    (many,) = [parameter for parameter in start.params if parameter.name == "preset"]
    assert not one.multiple and many.multiple
