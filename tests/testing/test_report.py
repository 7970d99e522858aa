"""Reports of checks: one sentence for each failure, and what a strategy raises."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from cl.strategy import Inputs
from cl.stream import View
from cl.testing import check_strategy, examine_strategy
from tests.help.broken_strategies import CountsPredictions, Good


def test_check_strategy_lists_what_failed() -> None:
    with pytest.raises(AssertionError, match=r"fails \d+ of 1 checks:\n  pure: .*Fix: "):
        check_strategy(CountsPredictions, only=["pure"])


def test_the_place_is_in_the_authors_file_also_if_a_library_raises() -> None:
    class Mixes(Good):
        def learn(self, view: View) -> None:
            torch.nn.functional.linear(torch.ones(2, 3), torch.ones(4, 5))

    (outcome,) = examine_strategy(Mixes, only=["runs"]).outcomes
    assert "shapes cannot be multiplied" in outcome.found
    assert re.search(r", raised at \S*test_report\.py:\d+", outcome.found)

    class Misnames(Good):
        def learn(self, view: View) -> None:
            self.encoded_batches(view.train, 8, extractor="backbone")  # type: ignore[arg-type]

    (outcome,) = examine_strategy(Misnames, only=["runs"]).outcomes
    assert re.search(r"raised at \S*test_report\.py:\d+ \(which called \S*\.py:\d+\)\.$", outcome.found)


def test_an_error_that_a_check_explains_keeps_its_place() -> None:
    class Forgets(Good):
        def learn(self, view: View) -> None:
            super().learn(view)
            self._scale = 2.0

        def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
            return super().predict(inputs, task) * self._scale

    (outcome,) = examine_strategy(Forgets, only=["state-round-trip"]).outcomes
    assert "a fresh instance with the state of two tasks cannot predict: AttributeError" in outcome.found
    assert re.search(r"Raised at \S*test_report\.py:\d+", outcome.found) and "Traceback" in outcome.trace


def test_what_the_strategy_raises_is_reported_with_its_place() -> None:
    class Raises(Good):
        def learn(self, view: View) -> None:
            raise KeyError("head")

    report = examine_strategy(Raises, only=["runs", "pure"])
    first, second = report.outcomes
    assert first.status == "failed" and "KeyError: 'head'" in first.found and "test_report.py:" in first.found
    assert second.status == "skipped" and "does not run" in second.found
