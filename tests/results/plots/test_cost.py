"""Accuracy against cost, with fronts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.help.figures import only, runs

Make = Callable[..., dict[str, Any]]


def test_bounds_are_not_on_the_front(make_record: Make) -> None:
    bound = runs(make_record, "joint", [90], result__strategy__access="past")
    data = only([*bound, *runs(make_record, "a", [40]), *runs(make_record, "b", [50])], "cost").data
    assert data["front"]["compute"] == ["b"]
    assert data["rows"][0]["bound"] and data["rows"][0]["stored"] == pytest.approx(464e-6)
