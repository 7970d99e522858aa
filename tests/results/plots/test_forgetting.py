"""Bars of forgetting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.help.figures import only, runs

Make = Callable[..., dict[str, Any]]


def test_forgetting_names_the_rows_that_have_none(make_record: Make) -> None:
    once = make_record([[None] * 3, [None] * 3, [60, 60, 60]], strategy="joint", result__strategy__access="past")
    data = only([once, *runs(make_record, "a", [40])], "forgetting").data
    assert ([row["label"] for row in data["rows"]], data["without"]) == (["a"], ["joint"])
