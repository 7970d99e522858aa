"""What every executor has: a maker that checks names, options and packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

import cl
from cl import registry
from cl.errors import UsageError
from cl.executors import Executor, Outcome
from cl.executors.base import make_executor
from cl.executors.local import LocalExecutor
from cl.plan.plan import make_plan
from cl.running.result import RunResult


def test_options_are_checked_and_common_ones_have_their_own_flags() -> None:
    made = make_executor("local", [("--executor-set", {"jobs": "3"})], existing="always", threads=2)
    assert made == LocalExecutor(jobs=3, existing="always", threads=2)
    for options, sentence in (
        ({"jbs": "3"}, "There is no option 'executor.jbs' .set by --executor-set.. Did you mean executor.jobs"),
        ({"jobs": "many"}, "executor.jobs must be a whole number"),
        ({"threads": "3"}, "threads is no option of executor 'local'; use --threads."),
    ):
        with pytest.raises(UsageError, match=sentence):
            make_executor("local", [("--executor-set", options)])
    with pytest.raises(UsageError, match=r"There is no executor 'lokal'\. Did you mean local"):
        make_executor("lokal")


@dataclass(frozen=True, kw_only=True)
class Elsewhere(Executor):
    """Executes nothing, for want of a package."""

    where: str = cl.option("moon", "place")

    requires: ClassVar[Mapping[str, str]] = {"a_package_that_is_not_here": "clbench[moon]"}

    def execute(self, plans: Any, observer: Any) -> list[Outcome]:
        return []


def test_a_package_that_is_missing_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.executors.register("elsewhere", Elsewhere)
    try:
        with pytest.raises(UsageError, match=r"the package a_package_that_is_not_here: pip install 'clbench\[moon"):
            make_executor("elsewhere", [("file", {"where": "mars"})])
        monkeypatch.setattr(Elsewhere, "requires", {})
        assert make_executor("elsewhere", [("file", {"where": "mars"})]) == Elsewhere(where="mars")
    finally:
        registry.executors.unregister("elsewhere")


def test_an_outcome_without_its_learner_keeps_its_result() -> None:
    plan = make_plan("simplecil", "split-digits")
    result = RunResult({"status": "complete"}, Path("somewhere"), _learner=object())
    lean = Outcome(plan, result).without_learner()
    assert lean.result == result and lean.result._learner is None
    assert Outcome(plan, error="No.").without_learner().error == "No."
