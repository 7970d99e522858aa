"""Odd input for commands."""

from __future__ import annotations

import pytest

from tools.soak.fuzz import KINDS, attempt, judged
from tools.soak.outcome import Ended
from tools.soak.scenarios import Workshop


@pytest.mark.parametrize("number", range(len(KINDS)))
def test_odd_input_works_or_is_one_sentence(workshop: Workshop, number: int) -> None:
    outcome = attempt(workshop, number, seed=0)
    assert outcome.kind == KINDS[number]
    assert not outcome.failed, outcome.why


@pytest.mark.slow
def test_more_odd_input(workshop: Workshop) -> None:
    for number in range(50):
        outcome = attempt(workshop, number, seed=1)
        assert not outcome.failed, outcome.why


@pytest.mark.parametrize(
    ("ended", "verdict"),
    [
        (Ended(0, "a table\n", ""), "equal"),
        (Ended(0, "a table\n", "WARNING: a record is damaged\n"), "warned"),
        (Ended(0, "\x1b[31mred", ""), "unexpected"),
        (Ended(0, "", "Traceback (most recent call last):\n"), "unexpected"),
        (Ended(3, "", "Error: It is damaged.\n"), "sentence"),
        (Ended(None, "", ""), "unexpected"),
    ],
)
def test_verdicts(ended: Ended, verdict: str) -> None:
    assert judged(ended, "the input")[0] == verdict
