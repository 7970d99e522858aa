"""Conformance of strategies: a good one passes, unknown names are refused, built-in ones keep the contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl import registry
from cl.errors import UsageError
from cl.testing import CHECKS, check_strategy, check_stream, examine_strategy, parametrize_with_checks
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


# These refuse the network or the stream of the others, or store more for some images (ear): tests/strategies has the
# test that names what they need.
WITH_THEIR_OWN = ("claw", "ear", "grace", "hat", "vcl")


def test_strategies_that_are_left_out_keep_the_contract_in_a_test_of_their_own() -> None:
    folder = Path(__file__).parent.parent / "strategies"
    for name in WITH_THEIR_OWN:
        assert f'check_strategy("{name}"' in (folder / f"test_{name}.py").read_text(encoding="utf-8"), name


@pytest.mark.slow
@parametrize_with_checks(sorted(set(registry.strategies) - {*ONE_OF_EACH, *WITH_THEIR_OWN}))
def test_all_other_built_in_strategies_keep_the_contract(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((3, {}), "Give the name of a strategy or a class, not 3."),
        ((None, {}), "Give the name of a strategy or a class, not None."),
        (("slca", {"options": ["lr=1"]}), "options must map names to values, such as {'lr': 0.01}, not ['lr=1']."),
        (("slca", {"options": "lr=1"}), "options must map names to values"),
        (("slca", {"options": {1: 2}}), "options must map names to values"),
        (("slca", {"only": "resume"}), "only must be a list of names of checks, such as ['resume'], not 'resume'."),
        (("slca", {"only": 1}), "only must be a list of names of checks"),
        (("slca", {"stream": 1}), "stream must be a name, not 1."),
        (("slca", {"backbone": ["x"]}), "backbone must be a name, not ['x']."),
        (("slca", {"tell": "me"}), "tell must be a function that takes an outcome, not 'me'."),
    ],
)
def test_arguments_of_wrong_types_are_one_sentence(arguments: tuple[Any, dict[str, Any]], says: str) -> None:
    subject, more = arguments
    with pytest.raises(UsageError) as caught:
        check_strategy(subject, **more)
    assert str(caught.value).startswith(says)
    if not {"stream", "backbone"} & set(more):
        with pytest.raises(UsageError) as caught:
            check_stream(subject, **more)
        assert str(caught.value).startswith(says.replace("strategy or a class", "stream or a built stream"))
