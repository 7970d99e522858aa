"""Each check of whole runs catches a strategy that breaks it."""

from __future__ import annotations

import pytest

from cl.strategy import Strategy
from cl.testing import CHECKS, examine_strategy, run_checks
from tests.help.broken_strategies import BROKEN

MINE = [entry for entry in BROKEN if CHECKS[entry[1]].call.__module__ == run_checks.__name__]


@pytest.mark.parametrize(("broken", "check", "message"), MINE, ids=[entry[0].__name__ for entry in MINE])
def test_each_break_is_caught_by_its_check(broken: type[Strategy], check: str, message: str) -> None:
    (outcome,) = examine_strategy(broken, only=[check]).outcomes
    assert outcome.status == "failed", outcome
    assert message in outcome.found and outcome.fix, outcome.found
