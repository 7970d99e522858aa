"""`clbench check`: what it prints, what it answers, how it fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from cl import registry
from cl.cli import call
from cl.strategies.simplecil import SimpleCIL
from tests.help.broken_strategies import CountsPredictions


@dataclass(frozen=True)
class Done:
    exit_code: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> Done:
        code = call(arguments)
        shown = capsys.readouterr()
        return Done(code, shown.out, shown.err)

    return run


@pytest.fixture(autouse=True)
def _broken() -> Iterator[None]:
    registry.strategies.register("counts-predictions", CountsPredictions)
    yield
    registry.strategies.unregister("counts-predictions")


def test_a_failed_check_is_named_with_values_and_fix(cli: Run) -> None:
    done = cli("check", "counts-predictions", "--only", "runs,pure")
    assert done.exit_code == 1
    assert "runs                  ok" in done.stdout
    assert "pure                  FAILED" in done.stdout
    assert "Found: predict changed the learner's state.asked is" in done.stdout
    assert "Fix: move what predict updates into learn" in done.stdout
    assert done.stdout.endswith("strategy 'counts-predictions': 1 passed, 1 failed.\n")


def test_a_stream_is_checked(cli: Run) -> None:
    done = cli("check", "split-digits", "--set", "stream.tasks=2")
    assert done.exit_code == 0 and done.stdout.endswith("stream 'split-digits': 10 passed.\n")


def test_metrics_and_loggers_are_checked(cli: Run) -> None:
    done = cli("check", "BWT", "--only", "documented,pure")
    assert done.exit_code == 0 and done.stdout.endswith("metric 'BWT': 2 passed.\n")
    done = cli("check", "tensorboard", "--only", "documented,declarations")
    assert done.exit_code == 0 and done.stdout.endswith("logger 'tensorboard': 2 passed.\n")


def test_json_holds_every_outcome(cli: Run) -> None:
    done = cli("check", "simplecil", "--only", "documented", "--json")
    (outcome,) = json.loads(done.stdout)["outcomes"]
    assert outcome["check"] == "documented" and outcome["status"] == "passed"


def test_the_list_names_every_check(cli: Run) -> None:
    from cl.testing import CHECKS, LOGGER_CHECKS, METRIC_CHECKS, STREAM_CHECKS

    done = cli("check", "--list")
    assert all(f"  {name} " in done.stdout for name in [*CHECKS, *STREAM_CHECKS, *METRIC_CHECKS, *LOGGER_CHECKS])
    assert json.loads(cli("check", "--list", "--json").stdout)["strategy"].keys() == CHECKS.keys()


def test_the_traceback_of_an_error_is_shown_on_demand(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def learn(self: Any, view: Any) -> None:
        raise KeyError("head")

    monkeypatch.setattr(SimpleCIL, "learn", learn)
    plain, verbose = cli("check", "simplecil", "--only", "runs"), cli("check", "simplecil", "--only", "runs", "-v")
    assert "Found: KeyError: 'head', raised at " in plain.stdout and "Traceback" not in plain.stdout
    assert "Traceback" in verbose.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["slac"], "There is no strategy, stream, metric or logger 'slac'. Did you mean slda or slca?"),
        ([], "Name a strategy, a stream, a metric or a logger to check"),
        (["slca", "--only", "resum"], "There is no check 'resum'. Did you mean resume?"),
        (["slca", "--set", "lrr=1"], "lrr"),
        (["split-digits", "--backbone", "vit"], "--stream and --backbone are for checking a strategy."),
        (["BWT", "--stream", "pacs"], "--stream and --backbone are for checking a strategy."),
        (["BWT", "--set", "lr=1"], "--set is for strategies and streams; BWT is a metric."),
        (["tensorboard", "--set", "lr=1"], "--set is for strategies and streams; tensorboard is a logger."),
        (["F_chaudry"], "Did you mean F_chaudhry?"),
    ],
)
def test_wrong_usage_is_one_sentence(cli: Run, arguments: list[str], message: str) -> None:
    done = cli("check", *arguments)
    assert done.exit_code == 2 and message in done.stderr and "Traceback" not in done.stderr
