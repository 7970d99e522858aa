"""What a metric is: name, formula, source, range, and the inputs it needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One metric: `compute(matrix, **needs)` gives a fraction, NaN if undefined.

    `needs` names the inputs in addition to the matrix; `INPUTS` describes them. Values are between `lowest`, 0 for
    accuracies and -1 for differences of them, and `highest`. A metric with a `setting` is computed only for streams of
    that setting (see `cl.protocol.belongs`). `recorded`: whether a record holds the metric. The metrics of later
    versions are computed when a record is read, so that records keep their hash. `unit`: "nats"; empty for a fraction.
    `smooth`: whether a small change of the counts changes the value. `plugin`: of another package
    (`cl.records.plugin_metrics`).
    """

    id: str
    title: str
    formula: str
    source: str
    higher_is_better: bool
    compute: Callable[..., float]
    needs: tuple[str, ...] = ()
    lowest: float = 0.0
    setting: str = ""
    highest: float = 1.0
    recorded: bool = True
    unit: str = ""
    smooth: bool = True
    plugin: bool = False

    @property
    def range(self) -> tuple[float, float | None]:
        """The lowest and the highest value; None: unbounded."""
        return self.lowest, self.highest if math.isfinite(self.highest) else None


INPUTS = {
    "baseline": "accuracy per group before any training, [G]",
    "reference": "accuracy per group of a jointly trained model at the step of the group, [G]",
    "offline": "accuracy of a jointly trained model (`cl.records.matrix.Offline`)",
    "local": "the matrix of the task-incremental rule",
    "anytime": "accuracy over the classes seen, one per periodic evaluation, [E]",
    "continual": "the matrix of all evaluations, including those between the ends of tasks",
    "classes": "the matrix whose groups are classes, at the ends of tasks",
    "answers": "the stored predictions (`cl.records.answers.Answers`)",
    "scores": "the stored scores (`cl.records.answers.Scores`)",
    "probe": "the accuracies of the probe (`cl.records.probe.ProbeCurve`)",
    "probe_means": "the same of its second classifier, the nearest class mean",
    "result": "the section `result` of the record (docs/records.md)",
    "rule": "the prediction rule, such as cil_seen",
}
"""The inputs that a metric may need."""

STORED = frozenset({"answers", "scores"})
"""The inputs that predictions.npz holds."""
