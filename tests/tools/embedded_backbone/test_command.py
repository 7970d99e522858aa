"""The commands of the tools: an error of clbench is one sentence with its exit code, a fault keeps its traceback."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from cl.errors import DataError, UsageError
from tools.embedded_backbone.command import ErrorsInWords

ERRORS = {"usage": UsageError("--views is at least 1"), "data": DataError("no images in colours.npz")}


@click.command(cls=ErrorsInWords)
@click.argument("what")
def command(what: str) -> None:
    if what == "fault":
        raise ZeroDivisionError("a fault of the tool")
    if what in ERRORS:
        raise ERRORS[what]
    click.echo("done")


@pytest.mark.parametrize("what", ERRORS)
def test_an_error_of_clbench_is_one_sentence_with_its_exit_code(what: str) -> None:
    run = CliRunner().invoke(command, [what])
    assert run.exit_code == ERRORS[what].exit_code
    assert run.stderr == f"Error: {ERRORS[what]}\n" and run.stdout == ""
    assert isinstance(run.exception, SystemExit)


def test_a_command_without_an_error_ends_with_0() -> None:
    run = CliRunner().invoke(command, ["nothing"])
    assert (run.exit_code, run.stdout, run.stderr) == (0, "done\n", "")


def test_a_fault_of_the_tool_itself_is_not_hidden() -> None:
    assert isinstance(CliRunner().invoke(command, ["fault"]).exception, ZeroDivisionError)


def test_a_group_of_commands_tells_the_errors_of_its_commands_too() -> None:
    class Group(ErrorsInWords, click.Group):
        pass

    run = CliRunner().invoke(Group("tool", commands={"command": command}), ["command", "usage"])
    assert run.exit_code == 2 and run.stderr.startswith("Error: --views")
