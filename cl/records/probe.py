"""The probe of a record: how well linear classifiers read the pretraining from the network, before and after tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cl.records.matrix import Floats, steps_of

CLASSIFIERS = ("ridge", "nearest_mean")
"""The classifiers of a probe: ridge regression on standardised features, and the nearest class mean by cosine."""


@dataclass(frozen=True, eq=False)
class ProbeCurve:
    """Accuracies of one classifier: before the first task, and after each step [T]; NaN if it was not measured then."""

    before: float
    after: Floats

    @property
    def forgetting(self) -> Floats:
        """The accuracy before the first task minus that after each step, [T]."""
        return self.before - self.after


def probe_of(result: Mapping[str, Any], classifier: str = "ridge") -> ProbeCurve | None:
    """The curve of a classifier at the steps of `cl.records.matrix.matrix_of`.

    None if the run had no probe or ended before its first measurement.
    """
    probe = result.get("probe")
    if probe is None or not probe["rows"]:
        return None
    shares = {row["task"]: row[classifier] / probe["test"] for row in probe["rows"]}
    return ProbeCurve(shares.pop(None), np.array([shares.get(step, np.nan) for step in steps_of(result)]))
