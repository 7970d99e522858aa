"""What all displays share."""

from __future__ import annotations

from cl.progress.base import clock


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0, 61, 3601.5)] == ["0:00", "1:01", "1:00:01"]
