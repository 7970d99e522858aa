"""Error against cumulative training compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cl.results.plots import plots_of
from tests.help.figures import only, runs

Make = Callable[..., dict[str, Any]]


def test_nevis_counts_training_only_and_the_error_when_learned(make_record: Make) -> None:
    events = [
        ("train 0", 2e12),
        ("evaluate test", 3e12),
        ("train 1", 7e12),
        ("evaluate test", 9e12),
        ("train 2", 10e12),
    ]
    made = [{"event": i, "what": what, "uncached": flops} for i, (what, flops) in enumerate(events)]
    records = runs(make_record, "a", [40], measurement__events=made)
    [row] = only(records, "nevis").data["rows"]
    assert row["tflop"] == [2, 6, 7]
    assert row["error"] == pytest.approx([1, (1 + 11) / 2, (1 + 11 + 60) / 3], abs=1e-3)
    assert plots_of(runs(make_record, "a", [40]), ["nevis"]) == []
