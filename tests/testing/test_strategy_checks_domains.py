"""Checks of a strategy on streams whose tasks share their classes."""

from __future__ import annotations

from cl.testing import check_strategy


def test_a_class_that_comes_again_is_counted_once() -> None:
    check_strategy("simplecil", stream="permuted-digits", options={"stream.tasks": 3}, only=["runs"])
