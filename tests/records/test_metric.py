"""What a metric declares."""

from __future__ import annotations

from cl.records.metrics import METRICS


def test_ranges_have_no_infinity() -> None:
    assert METRICS["BWT"].range == (-1.0, 1.0)
    assert METRICS["NLL"].range == METRICS["Omega_all"].range == (0.0, None)
