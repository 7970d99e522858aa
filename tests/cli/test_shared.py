"""What commands share: comma lists, and options of execution and of display."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cl.cli import call
from cl.cli.shared import Display, backbones_in, names_in, seeds_in, set_up, streams_in
from cl.errors import UsageError
from cl.executors import base, worker
from cl.running.result import RunResult
from tests.help.commands import SMALL

Shown = pytest.CaptureFixture[str]


def test_workers_is_the_old_name_of_threads(capsys: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    monkeypatch.setattr(worker, "set_threads", threads.append)
    monkeypatch.setattr(base, "execute", lambda plan, **_: RunResult({}, plan.folder))
    command = ["run", "-s", "simplecil", *SMALL[:-2], "--json", "-q"]
    assert call([*command, "--workers", "2"]) == 0
    shown = capsys.readouterr()
    assert (threads, shown.out) == ([2], "{}\n")
    assert shown.err == "--workers and CLBENCH_WORKERS are now called --threads and CLBENCH_THREADS.\n"
    monkeypatch.setenv("CLBENCH_WORKERS", "3")
    assert call(command) == 0 and call([*command, "--threads", "1", "--seed", "1,2"]) == 0
    assert threads == [2, 3, 1] and capsys.readouterr().err.count("now called --threads") == 2
    assert call(["run", "--help"]) == 0
    assert "--workers" not in capsys.readouterr().out


def test_a_path_of_weights_keeps_its_commas(tmp_path: Path) -> None:
    file = tmp_path / "a,b.safetensors"
    assert backbones_in((f"vit@{file}",)) == [f"vit@{tmp_path / 'a'}", "b.safetensors"]
    file.touch()
    assert backbones_in((f"vit@{file}", "x,y")) == [f"vit@{file}", "x", "y"]
    assert backbones_in(()) == [None]


def test_comma_lists_are_names_and_none_leaves_the_choice_open() -> None:
    assert names_in(("slca, ewc", "mos,")) == ["slca", "ewc", "mos"]
    assert names_in(()) == [None]
    for empty in (("",), (" ,",)):  # `-b "$UNSET"` would otherwise run the default
        with pytest.raises(UsageError, match="was given an empty list; leave it out, or name one"):
            names_in(empty)
    assert seeds_in(("1,2", "3")) == [1, 2, 3] and seeds_in(()) == [None]
    with pytest.raises(UsageError, match="--seed must be a whole number, not 'x'"):
        seeds_in(("1,x",))


def test_the_path_of_a_folder_keeps_its_commas() -> None:
    assert streams_in(("folder:/a,b", "split-digits,pacs")) == ["folder:/a,b", "split-digits", "pacs"]


@pytest.mark.parametrize(
    ("quiet", "verbose", "level"),
    [(False, 0, "WARNING"), (False, 1, "INFO"), (False, 2, "DEBUG"), (False, 5, "DEBUG"), (True, 2, "ERROR")],
)
def test_each_v_shows_more_of_the_log(quiet: bool, verbose: int, level: str) -> None:
    assert logging.getLevelName(Display(quiet=quiet, verbose=verbose).log_level) == level


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """The logger of clbench, put back afterwards."""
    found = logging.getLogger("clbench")
    monkeypatch.delenv("CLBENCH_DEBUG", raising=False)
    before = found.handlers, found.propagate, found.level
    yield found
    found.handlers, found.propagate = before[:2]
    found.setLevel(before[2])
    os.environ.pop("CLBENCH_DEBUG", None)


def test_the_log_is_set_up_once_and_shows_no_traceback_of_an_error(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        set_up(quiet=False, verbose=0)
    logger.warning("look")
    logger.info("hidden")
    logger.error("the run failed", exc_info=ValueError("inside"))  # `perform` prints the sentence
    assert capsys.readouterr().err == "WARNING look\n" and "CLBENCH_DEBUG" not in os.environ
    set_up(quiet=False, verbose=2)
    logger.error("the run failed", exc_info=ValueError("inside"))
    assert "ValueError: inside" in capsys.readouterr().err and os.environ["CLBENCH_DEBUG"] == "1"
