"""Reports of checks: one sentence for each failure, and what a strategy raises."""

from __future__ import annotations

import pytest

from cl.stream import View
from cl.testing import check_strategy, examine_strategy
from tests.help.broken_strategies import CountsPredictions, Good


def test_check_strategy_lists_what_failed() -> None:
    with pytest.raises(AssertionError, match=r"fails \d+ of 1 checks:\n  pure: .*Fix: "):
        check_strategy(CountsPredictions, only=["pure"])


def test_what_the_strategy_raises_is_reported_with_its_place() -> None:
    class Raises(Good):
        def learn(self, view: View) -> None:
            raise KeyError("head")

    report = examine_strategy(Raises, only=["runs", "pure"])
    first, second = report.outcomes
    assert first.status == "failed" and "KeyError: 'head'" in first.found and "test_report.py:" in first.found
    assert second.status == "skipped" and "does not run" in second.found
