"""The schedule with a warm-up."""

from __future__ import annotations

import math

import pytest

from cl.training.optim import WarmupCosine, When


def test_warm_up_then_half_a_cosine() -> None:
    schedule = WarmupCosine(warmup=4, total=12, minimum=0.1)
    rates = [schedule(When(step // 3, step % 3, 4, 3)) for step in range(12)]
    assert rates[:5] == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert rates[8] == pytest.approx(0.1 + 0.9 / 2) and schedule(When(4, 0, 4, 3)) == pytest.approx(0.1)
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert WarmupCosine(0, 1)(When(0, 0, 1, 1)) == 1 and math.isfinite(WarmupCosine(1, 1)(When(0, 1, 1, 2)))
