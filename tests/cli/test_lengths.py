"""Lengths on the command line."""

from __future__ import annotations

import pytest

from cl.cli.lengths import inches_of
from cl.errors import UsageError


@pytest.mark.parametrize(
    ("text", "inches"),
    [
        ("85mm", 85 / 25.4),
        ("85", 85 / 25.4),
        ("8.5 cm", 8.5 / 2.54),
        ("3.25in", 3.25),
        ("72.27pt", 1),
        ("column", 3.25),
    ],
)
def test_lengths_are_inches(text: str, inches: float) -> None:
    assert inches_of(text, "--width") == pytest.approx(inches)


@pytest.mark.parametrize(
    ("text", "says"), [("wide", "a length such as 85mm"), ("-3in", "such as"), ("1mm", "20 mm to")]
)
def test_other_lengths_are_one_sentence(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        inches_of(text, "--width")
