"""The group of commands: light imports, help, mistakes in one sentence, tracebacks on request."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cl
from cl.cli import call
from cl.cli.app import COMMANDS
from tests.help.toy import QUICK

pytestmark = pytest.mark.usefixtures("toy")


def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A real process, so that sys.modules says what was imported."""
    code = (
        "import sys; from cl.cli import call; code = call(sys.argv[1:]);"
        "print(*sorted(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    root = str(Path(cl.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, check=False
    )


HEAVY = {"torch", "timm", "avalanche", "pandas", "scipy", "matplotlib", "sklearn"}


@pytest.mark.parametrize(
    ("arguments", "never"),
    [
        (["--help"], HEAVY | {"numpy", "rich", "cl.api", "cl.registry"}),
        (["run", "--help"], HEAVY | {"numpy", "rich"}),
        (["--version"], HEAVY | {"numpy", "rich"}),
        (["list"], HEAVY),
        (["list", "strategies", "--json"], HEAVY | {"numpy"}),
    ],
)
def test_help_and_list_import_nothing_heavy(arguments: list[str], never: set[str]) -> None:
    done = ask(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert never.isdisjoint(done.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["lst"], 2, "There is no command 'lst'. Did you mean list?"),
        (["run", "--strateegy", "x"], 2, "No such option"),
        (["run"], 2, "Choose a strategy with --strategy"),
        (["run", "-s", "toi", *QUICK], 2, "There is no strategy 'toi'. Did you mean toy?"),
        (["run", "-s", "toy", "--stream", "split-digit"], 2, "Did you mean split-digits"),
        (["run", "-s", "toy", *QUICK, "--set", "favorite=1"], 2, "Did you mean favourite?"),
        (["run", "-s", "toy", *QUICK, "--set", "favourite=x"], 2, "favourite must be a whole number, not 'x'."),
        (["run", "-s", "toy", *QUICK, "--set", "favourite"], 2, "--set takes KEY=VALUE"),
        (["run", "-s", "toy", "--stream", "split-digits", "--set", "stream.tasks=99"], 2, "tasks=99"),
        (["run", "-s", "toy", *QUICK, "--set", "favourite=1", "--set", "favourite=2"], 2, "favourite twice"),
        (["run", "-s", "toy", *QUICK, "--seed", "x"], 2, "--seed must be a whole number"),
        (["run", "-s", "toy", *QUICK, "--backbone", "vit_micro_patch4_33"], 2, "Did you mean vit_micro_patch4_32"),
        (["run", "-s", "toy", *QUICK, "--device", "cuda:99"], 2, "--device cuda:99 is not available here"),
        (["run", "-s", "toy", "--stream", "split-cifar100"], 3, "CLBENCH_DATA_PATH"),
        (
            ["run", "-s", "toy", *QUICK, "--set", f"favourite={'9' * 5000}"],
            2,
            "favourite must be a whole number, not '9",
        ),
        (["run", "-s", "toy", *QUICK, "--max-tasks", "9" * 400], 2, "--max-tasks must be"),
        (["run", "-s", "toy", *QUICK, "--results", ""], 2, "--results must be a path, not '' (it is empty)."),
        (["run", "-s", "toy", *QUICK, "--results", "x" * 300], 2, "(it is too long for a path)."),
        (["run", "-s", "toy", *QUICK, "--results", "a\udcff"], 2, "(it is not valid Unicode; rename the"),
        (["run", "-s", "toy", *QUICK, "--results", "~no-such-user/x"], 2, "(there is no such user)."),
        (["run", "-s", "toy", "--stream", "folder:~no-such-user/x"], 2, "holds no path (Could not determine home"),
        (["run", "-s", "toy", "--stream", "folder:" + "x" * 5000], 2, "(File name too long); give the whole path"),
        (["run", "-s", "toy", *QUICK, "--backbone", ""], 2, "was given an empty list; leave it out"),
        (["run", "-s", "toy", *QUICK, "-c", "x" * 5000], 2, "File name too long; check the path"),
        (["info", "sclca"], 2, "Did you mean slca"),
        (["list", "strategy", "*"], 2, "Did you mean strategies"),
        (["leaderboard", "/no/such/folder"], 2, "There are no results at /no/such/folder"),
        (["resume", "/no/such/folder"], 2, "/no/such/folder holds no run"),
    ],
)
def test_mistakes_get_one_sentence_and_their_exit_code(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(arguments) == code
    shown = capsys.readouterr()
    assert says in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""
    assert len([line for line in shown.err.splitlines() if line.startswith("Error:")]) == 1


def test_tracebacks_on_request(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_DEBUG", "1")
    assert call(["run", "-s", "toy", *QUICK, "--set", "fail=bug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_every_command_has_help_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        assert call([name, "--help"]) == 0
        shown = capsys.readouterr().out
        assert "\x1b[" not in shown
        assert "Examples:" in shown or name == "resume"


def test_a_wrong_value_in_a_variable_names_the_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, command in (("CLBENCH_THREADS", "run"), ("CLBENCH_EXPORT_TABLE", "export")):
        monkeypatch.setenv(name, "x")
        assert call([command]) == 2
        assert f"It is set by {name}." in capsys.readouterr().err
    monkeypatch.setenv("CLBENCH_HOME", "~no-such-user/x")
    assert call(["cache"]) == 2
    assert capsys.readouterr().err == (
        "Error: CLBENCH_HOME is ~no-such-user/x, and there is no such user; give the whole path.\n"
    )


def test_messages_of_thousands_of_characters_are_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["run", "--threads", "9" * 5000]) == 2
    assert len(capsys.readouterr().err) < 1200
