"""Conformance of strategies: a good one passes, unknown names are refused, built-in ones keep the contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cl import registry
from cl.errors import UsageError
from cl.testing import CHECKS, examine_strategy, parametrize_with_checks
from tests.help.broken_strategies import Good


def test_a_good_strategy_passes_every_check() -> None:
    report = examine_strategy(Good)
    assert {outcome.check: (outcome.status, outcome.found) for outcome in report.outcomes} == dict.fromkeys(
        CHECKS, ("passed", "")
    )


def test_unknown_names_are_said() -> None:
    with pytest.raises(UsageError, match=r"There is no check 'resum'\. Did you mean resume"):
        examine_strategy(Good, only=["resum"])
    with pytest.raises(UsageError, match="There is no strategy 'slac'"):
        examine_strategy("slac")
    assert not [name for name in registry.strategies if "Good" in name], "the class was registered for the check only"


# One strategy of each kind at every run; the others share code with one of them and are slow tests.
ONE_OF_EACH = ("simplecil", "joint", "slca", "ewc", "momentum", "dualprompt", "norga", "ranpac", "mos", "wsn", "kvb")


@parametrize_with_checks(ONE_OF_EACH)
def test_built_in_strategies_keep_the_contract(check: Callable[[], None]) -> None:
    check()


@pytest.mark.slow
@parametrize_with_checks(sorted(set(registry.strategies) - set(ONE_OF_EACH)))
def test_all_other_built_in_strategies_keep_the_contract(check: Callable[[], None]) -> None:
    check()
