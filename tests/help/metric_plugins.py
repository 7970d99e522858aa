"""A metric that keeps the contract, and one for each way to break it."""

from __future__ import annotations

import math
import random
from typing import Any, ClassVar

import numpy as np

from cl.records.matrix import AccuracyMatrix
from cl.records.plugin_metrics import MetricPlugin


class GoodMetric(MetricPlugin):
    """Last accuracy on the worst task.

    Formula: min_i R[T,i]
    Source: none
    """

    higher_is_better = True

    def compute(self, matrix: AccuracyMatrix, **inputs: Any) -> Any:
        last = matrix.accuracy[-1][matrix.evaluated()[-1]] if matrix.steps else np.empty(0)
        return self.of(float(last.min())) if len(last) else math.nan

    def of(self, value: float) -> Any:
        return value


class Errors(GoodMetric):
    """Counts the errors of the worst task, in percent.

    Formula: 100 (1 - min_i R[T,i])
    Source: none
    """

    higher_is_better = False
    unit = "percent"
    highest = 100.0

    def of(self, value: float) -> Any:
        return 100 * (1 - value)


class NoFormula(GoodMetric):
    """Has no sections."""


class NoDirection(GoodMetric):
    """Has a direction that is no truth value.

    Formula: none
    Source: none
    """

    higher_is_better: ClassVar[Any] = "up"


class Raises(GoodMetric):
    """Assumes that there are steps.

    Formula: none
    Source: none
    """

    def compute(self, matrix: AccuracyMatrix, **inputs: Any) -> Any:
        return matrix.accuracy[-1].min()


class Text(GoodMetric):
    """Gives text.

    Formula: none
    Source: none
    """

    def of(self, value: float) -> Any:
        return f"{value}"


class Percent(GoodMetric):
    """In percent, without saying so.

    Formula: none
    Source: none
    """

    def of(self, value: float) -> Any:
        return 100 * value


class Noisy(GoodMetric):
    """Draws.

    Formula: none
    Source: none
    """

    def of(self, value: float) -> Any:
        return value * random.random()


class Changes(GoodMetric):
    """Changes the record.

    Formula: none
    Source: none
    """

    needs = ("result",)

    def compute(self, matrix: AccuracyMatrix, **inputs: Any) -> Any:
        inputs["result"]["seen"] = inputs["result"].get("seen", 0) + 1
        return 0.5


class Undefined(GoodMetric):
    """Is never defined.

    Formula: none
    Source: none
    """

    def of(self, value: float) -> Any:
        return math.nan


class Steps(GoodMetric):
    """Says whether the worst task is above a threshold, as if that were smooth.

    Formula: none
    Source: none
    """

    def of(self, value: float) -> Any:
        return float(value > 0.3)


class Rounded(GoodMetric):
    """Rounds, as if that were smooth.

    Formula: none
    Source: none
    """

    def of(self, value: float) -> Any:
        return round(value, 4)
