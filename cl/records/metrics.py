"""Every metric with its name, formula and source: pure functions of a matrix of counts.

Notation: R[t,i] is the accuracy on group i after step t, both counted from 1; T is the last step; n_i is the number of
test images of group i. In a class-incremental stream group i is learned at step i and the formulas are those of the
papers; in other streams "i < T" means "groups learned before step T", R[i,i] "the accuracy on group i at the step that
learned it", and a mean over tasks is a mean over such groups. Accuracies and metrics are fractions. A value that cannot
be computed is None, never 0 or NaN; `cl.records.reasons` says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cl.protocol import ANYTIME, FEW_SHOT, TASK, answering, belongs, rule_of, split_rule
from cl.records.answers import answers_of, scores_of
from cl.records.count_metrics import COUNT_METRICS
from cl.records.later_metrics import LATER_METRICS
from cl.records.matrix import (
    AccuracyMatrix,
    Floats,
    Matrices,
    anytime_of,
    baseline_of,
    matrix_of,
)
from cl.records.metric import Metric
from cl.records.plugin_metrics import Metrics, value_or_none
from cl.records.predictions import Predictions
from cl.records.probe import probe_of
from cl.records.reference import offline_of, reference_of, same_end

__all__ = [
    "BUILT_IN",
    "METRICS",
    "Metric",
    "compute_all",
    "metrics_of",
    "metrics_of_rule",
    "recorded_metrics",
    "scale_of",
    "shown",
]

BUILT_IN: dict[str, Metric] = {metric.id: metric for metric in (*COUNT_METRICS, *LATER_METRICS)}
"""Every metric of clbench by id."""

METRICS = Metrics(BUILT_IN)
"""Every metric by id, those of plugins included (entry-point group `clbench.metrics`)."""

FORGETTING = ("A_last_sample", "A_inc_sample", "F_chaudhry", "BWT")
"""The metrics that summaries and leaderboards show."""

FEW_SHOT_SHOWN = ("A_last_sample", "A_inc_sample", "A_base", "A_novel", "A_harmonic", "PD")
"""The same for few-shot streams, where base classes dominate the forgetting metrics."""


ANYTIME_SHOWN = ("A_auc", *FORGETTING)
"""The same for online and blurry streams."""


TOLD_SHOWN = ("E_own", "LA", "A_last_task", "BWT")
"""The same for task-incremental streams."""


def shown(setting: str) -> tuple[str, ...]:
    """The metrics that summaries and leaderboards show for streams of this setting."""
    if belongs(ANYTIME, setting):
        return ANYTIME_SHOWN
    if belongs(TASK, setting):
        return TOLD_SHOWN
    return FEW_SHOT_SHOWN if setting == FEW_SHOT else FORGETTING


def scale_of(name: str) -> float:
    """The number that tables multiply a metric with: 100 for a fraction, 1 for a metric with a unit."""
    return 1.0 if METRICS[name].unit else 100.0


def _per_group(values: Sequence[float | None] | Floats | None, groups: int, name: str) -> Floats | None:
    if values is None:
        return None
    if len(values) != groups:
        raise ValueError(f"{name} needs {groups} entries, one per group; it has {len(values)}")
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def compute_all(
    matrix: AccuracyMatrix,
    *,
    baseline: Sequence[float | None] | Floats | None = None,
    reference: Sequence[float | None] | Floats | None = None,
    setting: str = "",
    names: Iterable[str] | None = None,
    **inputs: Any,
) -> dict[str, float | None]:
    """Every metric of one matrix, or those in `names`; None if undefined or if an input is missing.

    Values are fractions. Metrics of another `setting` are left out. baseline, reference: [G] fractions, None for an
    unknown entry; for the other inputs see `cl.records.metric.INPUTS`. Raises `ValueError` for wrong lengths.
    """
    groups = len(matrix.count)
    given = {
        **inputs,
        "baseline": _per_group(baseline, groups, "baseline"),
        "reference": _per_group(reference, groups, "reference"),
    }
    known = {name for name, value in given.items() if value is not None}
    values: dict[str, float | None] = {}
    for metric in METRICS.values() if names is None else map(METRICS.__getitem__, names):
        if metric.setting and not belongs(metric.setting, setting):
            continue
        value = np.nan
        if known.issuperset(metric.needs):
            needed = {name: given[name] for name in metric.needs} if metric.needs else {}
            # Where all are asked for, one of another package must not take the others along.
            value = value_or_none(metric, matrix, needed) if names is None else float(metric.compute(matrix, **needed))
        values[metric.id] = value if math.isfinite(value) else None
    return values


def metrics_of(
    result: Mapping[str, Any], *, reference: Mapping[str, Any] | None = None, predictions: Predictions | None = None
) -> dict[str, dict[str, float | None]]:
    """Every metric per rule on the test split of a record's result section: {rule: {metric id: fraction or None}}.

    `reference`: the result of a joint run, for intransigence and Omega; `predictions`: the stored predictions of the
    run, for metrics of single answers. Metrics that need them are None without.
    """
    matrices = Matrices(result)
    return {
        rule: metrics_of_rule(result, rule, reference=reference, predictions=predictions, matrices=matrices)
        for rule in result["accuracy"]
    }


def recorded_metrics(result: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """The metrics that a record holds, per rule; computed from the counts alone."""
    names = [name for name, metric in BUILT_IN.items() if metric.recorded]
    matrices = Matrices(result)
    return {rule: metrics_of_rule(result, rule, names, matrices=matrices) for rule in result["accuracy"]}


def metrics_of_rule(
    result: Mapping[str, Any],
    rule: str,
    names: Iterable[str] | None = None,
    *,
    reference: Mapping[str, Any] | None = None,
    predictions: Predictions | None = None,
    matrices: Matrices | None = None,
) -> dict[str, float | None]:
    """As `metrics_of`, for one rule that the result has; all metrics, or those in `names`.

    `matrices`: those of the result, if several rules or others need them too.
    """
    wanted = None if names is None else list(names)
    needed = {need for name in (METRICS if wanted is None else wanted) for need in METRICS[name].needs}
    matrices = matrices or Matrices(result)
    matrix, inputs = inputs_of(matrices, rule, needed, reference=reference, predictions=predictions)
    return compute_all(matrix, setting=result["stream"].get("setting", ""), names=wanted, **inputs)


def inputs_of(
    matrices: Matrices,
    rule: str,
    needed: Iterable[str],
    *,
    reference: Mapping[str, Any] | None = None,
    predictions: Predictions | None = None,
) -> tuple[AccuracyMatrix, dict[str, Any]]:
    """The matrix of a rule, and those inputs among `needed` that there are; arguments as for `metrics_of`."""
    result, matrix = matrices.result, matrices.of(rule)
    inputs: dict[str, Any] = {need: _INPUTS[need](matrices, rule) for need in _INPUTS if need in needed}
    if reference is not None and same_end(result, reference):
        theirs = answering(reference["accuracy"], rule)
        if theirs not in reference["accuracy"]:  # a named answer is compared with the only answer of the joint run
            theirs = answering(reference["accuracy"], split_rule(rule)[0])
        if theirs in reference["accuracy"]:
            joint = matrix_of(reference, theirs)
            inputs |= {"reference": reference_of(matrix, joint), "offline": offline_of(matrix, joint)}
    if predictions is not None and rule in predictions.prediction:
        inputs |= {need: of(result, predictions, rule) for need, of in _STORED.items() if need in needed}
    return matrix, inputs


def _local(matrices: Matrices, rule: str) -> AccuracyMatrix | None:
    """The matrix of the rule if it is told the task, else of `til_masked` or `til_oracle`."""
    of_answer = [rule_of(other, split_rule(rule)[1]) for other in ("til_masked", "til_oracle")]
    given = next((other for other in of_answer if other in matrices.result["accuracy"]), None)
    told = rule if rule.startswith("til_") else given
    return None if told is None else matrices.of(told)


_INPUTS: dict[str, Callable[[Matrices, str], Any]] = {
    "baseline": lambda matrices, rule: baseline_of(matrices.result, rule, matrices.split),
    "local": _local,
    "anytime": lambda matrices, rule: anytime_of(matrices.result, rule, matrices.split),
    "continual": Matrices.continual,
    "classes": Matrices.classes,
    "probe": lambda matrices, rule: probe_of(matrices.result),
    "probe_means": lambda matrices, rule: probe_of(matrices.result, "nearest_mean"),
    "result": lambda matrices, rule: matrices.result,
    "rule": lambda matrices, rule: rule,
}
_STORED: dict[str, Callable[[Mapping[str, Any], Predictions, str], Any]] = {"answers": answers_of, "scores": scores_of}
