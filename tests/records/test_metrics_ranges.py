"""The ranges of metrics."""

from __future__ import annotations

import numpy as np

from cl.protocol import FEW_SHOT
from cl.records.matrix import AccuracyMatrix
from cl.records.metrics import METRICS, compute_all
from cl.records.probe import ProbeCurve


def test_values_lie_in_the_range_that_is_printed() -> None:
    rng, reached = np.random.default_rng(0), dict.fromkeys(METRICS, 1.0)
    for trial in range(300):
        steps, count = int(rng.integers(2, 5)), 4
        extreme = rng.choice([0, count], (steps, steps)) if trial % 2 else rng.integers(0, count + 1, (steps, steps))
        matrix = AccuracyMatrix.of(extreme.astype(float), [count] * steps)
        fractions = rng.integers(0, 2, steps).astype(float)
        probe = ProbeCurve(float(rng.integers(0, 2)), fractions)
        values = compute_all(
            matrix, baseline=fractions, reference=fractions, local=matrix, classes=matrix, setting=FEW_SHOT,
            probe=probe, probe_means=probe,
        )  # fmt: skip
        for name, value in values.items():
            if value is not None:
                assert METRICS[name].lowest <= value <= METRICS[name].highest
                reached[name] = min(reached[name], value)
    assert {name for name, value in reached.items() if value < 0} == {
        metric.id for metric in METRICS.values() if metric.lowest < 0
    }
