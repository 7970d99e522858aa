"""Curves: means and intervals over seeds, and tasks that are tested alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.help.figures import only, runs

Make = Callable[..., dict[str, Any]]


def test_curves_are_means_with_intervals_over_seeds(make_record: Make) -> None:
    data = only([*runs(make_record, "a", [40, 60]), *runs(make_record, "b", [70])], "curves").data
    best, other = data["rows"]
    assert (best["label"], best["seeds"], best["low"]) == ("b", 1, [None, None, None])
    assert other["mean"] == pytest.approx([99, 94, 50])
    assert other["low"][2] == pytest.approx(40) and other["high"][2] == pytest.approx(60)
    assert other["low"][0] == other["high"][0] == pytest.approx(99)


def test_curves_of_tasks_tested_alone_say_so(make_record: Make) -> None:
    own = [[90, None, None], [None, 80, None], [70, 70, 70]]
    assert only([make_record(own, rules=("til_oracle",))], "curves").data["partly"] is True
    assert "partly" not in only(runs(make_record, "a", [40]), "curves").data
    late = [[None] * 3, [None] * 3, [70, 70, 70]]  # trained at the end, as `joint`
    assert "partly" not in only([make_record(late)], "curves").data
