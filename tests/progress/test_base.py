"""What all displays share: the clock."""

from __future__ import annotations

from cl.progress.base import clock


def test_the_clock_has_hours_if_needed() -> None:
    assert [clock(seconds) for seconds in (0, 61, 3601.5)] == ["0:00", "1:01", "1:00:01"]
