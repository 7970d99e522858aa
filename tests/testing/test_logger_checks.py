"""Checks of a logger: a good one passes, and each check finds the logger that breaks it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cl.errors import UsageError
from cl.loggers import Logger
from cl.testing import LOGGER_CHECKS, check_logger, examine_logger, parametrize_with_logger_checks

pytestmark = pytest.mark.usefixtures("isolated")


class Lines(Logger):
    """One line per number, in the folder of the run."""

    def start(self, run: Mapping[str, Any]) -> None:
        self.file = (Path(run["folder"]) / "lines.txt").open("a")

    def scalar(self, name: str, value: float, step: int) -> None:
        print(name, value, step, file=self.file)

    def close(self, status: str) -> None:
        self.file.close()


class Undocumented(Lines):
    def evaluated(self, record: Mapping[str, Any]) -> None: ...


Undocumented.__doc__ = ""


class WrongRequires(Lines):
    """Requires a list."""

    requires: ClassVar[Any] = ["wandb"]


class OtherArguments(Lines):
    """Takes no step."""

    def scalar(self, name: str, value: float) -> None:  # type: ignore[override]
        super().scalar(name, value, 0)


class NoResume(Lines):
    """Refuses a folder that it has written to."""

    def start(self, run: Mapping[str, Any]) -> None:
        self.file = (Path(run["folder"]) / "lines.txt").open("x")


class NeedsNumbers(Lines):
    """Assumes that there were numbers."""

    def start(self, run: Mapping[str, Any]) -> None:
        super().start(run)
        self.told: list[float] = []

    def scalar(self, name: str, value: float, step: int) -> None:
        self.told.append(value)

    def close(self, status: str) -> None:
        print(self.told[-1], file=self.file)


class Here(Lines):
    """Writes to the current folder."""

    def start(self, run: Mapping[str, Any]) -> None:
        self.file = Path("lines.txt").open("a")  # noqa: SIM115


class Moves(Lines):
    """Changes the current folder."""

    def start(self, run: Mapping[str, Any]) -> None:
        super().start(run)
        os.chdir(run["folder"])


class Edits(Lines):
    """Changes the record."""

    def evaluated(self, record: Mapping[str, Any]) -> None:
        record["result"]["rows"].clear()


class OnlyInRuns(Lines):
    """Fails for a title that only a real run has."""

    def start(self, run: Mapping[str, Any]) -> None:
        super().start(run)
        if "linear-probe on" in run["title"]:
            raise ValueError("a real title")


class WithArguments(Lines):
    """Wants an argument."""

    def __init__(self, path: str) -> None:
        self.path = path


@parametrize_with_logger_checks(["tensorboard", Lines])
def test_loggers_keep_the_contract(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_loggers_of_other_libraries_keep_the_contract(name: str) -> None:
    pytest.importorskip(name)
    check_logger(name)


def test_every_check_is_tried() -> None:
    report = examine_logger(Lines)
    assert {each.check: (each.status, each.found) for each in report.outcomes} == dict.fromkeys(
        LOGGER_CHECKS, ("passed", "")
    )


@pytest.mark.parametrize(
    ("logger", "check", "says"),
    [
        (Undocumented, "documented", "the class has no docstring"),
        (WrongRequires, "declarations", r"requires = \['wandb'\]"),
        (OtherArguments, "declarations", "scalar cannot be called as a run calls it: too many positional arguments"),
        (NoResume, "reports", "FileExistsError"),
        (WithArguments, "reports", "it cannot be created without arguments"),
        (NeedsNumbers, "failed-runs", "IndexError: list index out of range, raised at .*test_logger_checks.py:"),
        (Here, "own-folder", "it wrote lines.txt to the current folder"),
        (Moves, "own-folder", "the current folder is .* afterwards"),
        (Edits, "leaves-the-record", "it changed the record"),
        (OnlyInRuns, "in-a-run", "logger 'onlyinruns' failed and is disabled"),
    ],
)
def test_what_breaks_the_contract_is_found(logger: type[Logger], check: str, says: str) -> None:
    with pytest.raises(AssertionError, match=f"(?s){check}: {says}.*Fix: "):
        check_logger(logger, only=[check])


def test_a_missing_library_is_one_sentence() -> None:
    class Missing(Lines):
        """Needs what is not there."""

        requires: ClassVar[Mapping[str, str]] = {"no_such_module": "no-such-module"}

    with pytest.raises(UsageError, match="needs the package no_such_module: pip install 'no-such-module'"):
        check_logger(Missing)
    with pytest.raises(UsageError, match=r"There is no logger 'tensorbord'\. Did you mean tensorboard"):
        check_logger("tensorbord")
