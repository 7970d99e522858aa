"""Each check of a strategy's contract catches a strategy that breaks it."""

from __future__ import annotations

import pytest

from cl.strategy import Strategy
from cl.testing import CHECKS, examine_strategy, strategy_checks
from tests.help.broken_strategies import BROKEN, DefaultOutOfBounds

MINE = [entry for entry in BROKEN if CHECKS[entry[1]].call.__module__ == strategy_checks.__name__]


def test_every_check_has_its_broken_strategy() -> None:
    assert {check for _, check, _ in BROKEN} == set(CHECKS)


@pytest.mark.parametrize(("broken", "check", "message"), MINE, ids=[entry[0].__name__ for entry in MINE])
def test_each_break_is_caught_by_its_check(broken: type[Strategy], check: str, message: str) -> None:
    options = {"lr": 0.1} if broken is DefaultOutOfBounds else {}
    (outcome,) = examine_strategy(broken, only=[check], options=options).outcomes
    assert outcome.status == "failed", outcome
    assert message in outcome.found and outcome.fix, outcome.found
