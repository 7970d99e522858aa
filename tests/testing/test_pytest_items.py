"""`parametrize_with_checks`: one pytest item per check, with one bench for all checks of a strategy."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cl import registry
from cl.errors import UsageError
from cl.stream import Stream
from cl.testing import (
    CHECKS,
    STREAM_CHECKS,
    CheckFailure,
    Report,
    check_strategy,
    check_stream,
    examine_strategy,
    parametrize_with_checks,
    parametrize_with_stream_checks,
)
from cl.testing.pytest_items import Shared
from cl.testing.workbench import Workbench
from tests.conftest import tiny_stream
from tests.help.broken_strategies import CountsPredictions, Good, KeepsEveryImage


def items(mark: pytest.MarkDecorator) -> dict[str, Callable[[], None]]:
    """The tests that a decorator makes, by id."""
    names, parameters = mark.args
    assert mark.name == "parametrize" and names == "check"
    return {each.id: each.values[0] for each in parameters}


def expected_failures(mark: pytest.MarkDecorator) -> dict[str, Any]:
    return {each.id: dict(m.kwargs) for each in mark.args[1] for m in each.marks if m.name == "xfail"}


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the strategies whose bench was built."""
    names: list[str] = []
    init = Workbench.__init__

    def spy(self: Workbench, strategy: str, **arguments: Any) -> None:
        names.append(strategy.rpartition(".")[2])
        init(self, strategy, **arguments)

    monkeypatch.setattr(Workbench, "__init__", spy)
    yield names
    if Shared.current is not None:
        Shared.current.release()


def test_there_is_one_item_per_strategy_and_check() -> None:
    found = list(items(parametrize_with_checks(["slca", "avalanche/ewc", Good])))
    assert found == [f"{name}-{check}" for name in ("slca", "avalanche/ewc", "Good") for check in CHECKS]
    assert list(items(parametrize_with_checks("slca", only=["pure", "documented"]))) == ["slca-documented", "slca-pure"]
    streams: list[str | Stream] = ["folder:/images", tiny_stream()]
    found = list(items(parametrize_with_stream_checks(streams)))
    assert found == [f"{name}-{check}" for name in ("folder:/images", "split-digits") for check in STREAM_CHECKS]


def test_the_bench_is_built_by_the_first_check_and_shared(built: list[str]) -> None:
    found = items(parametrize_with_checks([Good, "simplecil"], only=["documented", "pure", "frozen"]))
    assert not built, "nothing is built at collection"
    found["Good-documented"]()
    found["Good-pure"]()
    assert built == ["Good"] and Shared.current is not None
    bench = weakref.ref(Shared.current.bench)
    assert bench() is not None
    found["Good-frozen"]()
    gc.collect()
    assert bench() is None and Shared.current is None, "released after the last check"
    found["Good-documented"]()
    found["simplecil-documented"]()
    assert built == ["Good", "Good", "simplecil"] and Shared.current.given == "simplecil", "one bench at a time"
    assert not [name for name in registry.strategies if "Good" in name], "a class is registered while a check runs"


def test_a_check_that_fails_raises_one_sentence_without_the_frames_of_the_check(built: list[str]) -> None:
    found = items(parametrize_with_checks([CountsPredictions]))
    with pytest.raises(CheckFailure, match=r"predict changed the learner's state.asked is .*Fix: ") as failure:
        found["CountsPredictions-pure"]()
    assert {Path(str(frame.path)).name for frame in failure.traceback} == {Path(__file__).name, "pytest_items.py"}
    with pytest.raises(UsageError, match="There is no strategy 'slac'"):
        items(parametrize_with_checks("slac"))["slac-pure"]()


def test_a_check_that_does_not_apply_is_skipped(built: list[str]) -> None:
    with pytest.raises(pytest.skip.Exception, match="declares access to the past"):
        items(parametrize_with_checks("joint"))["joint-memory"]()
    with pytest.raises(pytest.skip.Exception, match="check its registered name"):
        items(parametrize_with_stream_checks(tiny_stream()))["split-digits-identity"]()


def test_options_stream_and_backbone_reach_the_bench(built: list[str]) -> None:
    mark = parametrize_with_checks(
        "linear-probe", options={"lr": 0.3}, stream="rotated-digits", backbone="vit_micro_patch4_32@random"
    )
    items(mark)["linear-probe-documented"]()
    assert Shared.current is not None
    plan = Shared.current.bench.plan
    assert (plan.options.lr, plan.stream, plan.backbone) == (0.3, "rotated-digits", "vit_micro_patch4_32@random")
    items(parametrize_with_stream_checks("split-digits", options={"stream.tasks": 2}))["split-digits-views"]()
    assert len(Shared.current.bench.stream.experiences) == 2


def test_expected_failures_are_marked_and_strict() -> None:
    reasons = {"memory": "keeps images on purpose"}
    marked = {"strict": True, "reason": "keeps images on purpose"}
    mark = parametrize_with_checks([KeepsEveryImage], expected_failed_checks=reasons)
    assert expected_failures(mark) == {"KeepsEveryImage-memory": marked}
    mark = parametrize_with_checks(
        [KeepsEveryImage, Good], expected_failed_checks=lambda each: reasons if each is KeepsEveryImage else {}
    )
    assert expected_failures(mark) == {"KeepsEveryImage-memory": marked}
    for expected in ({"memori": "typing"}, lambda each: {"memori": "typing"}):
        with pytest.raises(UsageError, match=r"There is no check 'memori'\. Did you mean memory"):
            parametrize_with_checks([Good], expected_failed_checks=expected)


def test_without_pytest_one_sentence_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytest", None)
    with pytest.raises(UsageError, match="needs pytest: pip install pytest"):
        parametrize_with_checks("slca")


TESTS = """
from cl.testing import parametrize_with_checks
from tests.help.broken_strategies import CountsPredictions

@parametrize_with_checks(
    ["joint", CountsPredictions, type("Other", (CountsPredictions,), {})],
    only=["documented", "pure", "memory"],
    expected_failed_checks=lambda each: {} if each == "joint" else {"documented": "a subclass", "memory": "it passes"},
)
def test_contract(check):
    check()
"""


class Reports:
    """A plugin of pytest that keeps what every test reports."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self.texts: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            name = report.nodeid.rpartition("::")[2]
            self.outcomes[name] = "xfailed" if hasattr(report, "wasxfail") else report.outcome
            self.texts[name] = report.longreprtext


def test_pytest_reports_every_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "test_checks_of_mine.py").write_text(TESTS)
    reports = Reports()
    options = ["-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(tmp_path), "-k", "not Other"]
    assert pytest.main([*options, str(tmp_path)], plugins=[reports]) == pytest.ExitCode.TESTS_FAILED
    assert "3 deselected" in capsys.readouterr().out
    assert reports.outcomes == {
        "test_contract[joint-documented]": "passed",
        "test_contract[joint-pure]": "passed",
        "test_contract[joint-memory]": "skipped",
        "test_contract[CountsPredictions-documented]": "xfailed",
        "test_contract[CountsPredictions-pure]": "failed",
        "test_contract[CountsPredictions-memory]": "failed",
    }
    assert "[XPASS(strict)] it passes" in reports.texts["test_contract[CountsPredictions-memory]"]
    text = reports.texts["test_contract[CountsPredictions-pure]"]
    assert "CheckFailure: predict changed the learner's" in text
    assert ">       check()" in text and "strategy_checks.py" not in text, (
        "the line of the test, not the check's frames"
    )


def test_settings_is_still_accepted_with_a_warning() -> None:
    with pytest.warns(FutureWarning, match="`settings` is now called `options`") as warned:
        report: Report = examine_strategy(Good, settings={"lr": 0.3}, only=["documented"])  # type: ignore[call-arg]
        check_strategy(Good, settings={"lr": 0.3}, only=["documented"])
        check_stream("split-digits", settings={"stream.tasks": 2}, only=["events"])
    assert not report.failures
    assert [each.filename for each in warned] == [__file__] * 3, "once per call, at the caller's line"
    with pytest.raises(UsageError, match="give `options` only"):
        check_strategy(Good, settings={"lr": 0.3}, options={"lr": 0.1}, only=["documented"])
