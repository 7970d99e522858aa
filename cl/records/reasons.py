"""Why a metric is undefined, in one clause."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cl.protocol import DOMAIN, TASK, belongs
from cl.records.answers import nll, scores_of
from cl.records.matrix import baseline_of, classes_of, continual_of, is_periodic, main_split, matrix_of
from cl.records.metrics import METRICS
from cl.records.predictions import Predictions
from cl.records.probe import probe_of
from cl.records.reference import PAST

EVERY = "set stream.evaluate_on=all"
_PERIOD = "set stream.evaluate_every"


def why_undefined(
    result: Mapping[str, Any], rule: str, name: str, *, reference: bool = False, predictions: Predictions | None = None
) -> str:
    """Why `name` has no value under `rule`: what was not measured, and the option that measures it.

    `reference`: whether a joint run was given; `predictions`: the stored predictions, None if there are none.
    """
    metric, matrix = METRICS[name], matrix_of(result, rule)
    if not belongs(metric.setting, result["stream"].get("setting", "")):
        return f"a metric of {metric.setting} streams"
    if not matrix.steps:
        return "no task was evaluated yet"
    if name == "FWT" and _has_no_rows(result, rule):
        return "a class-incremental head has no rows for classes before their task"
    if name == "NLL" and _is_infinite(result, rule, predictions):
        return "it is infinite: the class of an image has no score, or a probability below the range of float16"
    if matrix.mean_precision is not None and not matrix.answered()[-1].any() and _counts_only(name):
        return "images of all groups tested last may have several classes, so no answers are counted"
    for need in metric.needs:
        if missing := _missing(need, result, rule, reference, predictions):
            return missing
    if metric.plugin:
        return "its formula gives no number for this run"
    if reference and "reference" in metric.needs:
        return "the joint run was trained once, after the last task; give one that was run with form=oracle"
    if name in ("FWT", "DR_FWT"):
        return _of_transfer(result, rule, name)
    if matrix.steps < 2 and result["stream"]["n_tasks"] > 1:
        return "the run was evaluated after one step only"
    if not matrix.old.any():
        return "no task was learned before the last step"
    return "an evaluation that it needs is missing"


def _counts_only(name: str) -> bool:
    """Whether a metric is made of counted answers, and not of accuracies of groups."""
    return "sample" in name.split("_") or name in ("A_macro", "F_class", "F1_macro", "NFR", "PFR", "top5", "ECE", "NLL")


def _missing(
    need: str, result: Mapping[str, Any], rule: str, reference: bool, predictions: Predictions | None
) -> str | None:
    """Why an input is missing; None if it is there."""
    if need in ("reference", "offline"):
        if result["strategy"]["access"] == PAST:
            return None if reference else "the run was trained jointly itself"
        return None if reference else "it needs a joint run: clbench metrics RUN --reference JOINT_RUN"
    if need == "baseline" and baseline_of(result, rule) is None:
        return f"the run was not evaluated before its training; {EVERY}"
    if need == "local" and not any(name.startswith("til_") for name in result["accuracy"]):
        return "the run has no prediction rule that is told the task"
    if need == "anytime" and not _periodic(result):
        return f"the run has no periodic evaluations; {_PERIOD}"
    if need == "continual" and continual_of(result, rule) is None:
        return f"the run has no evaluations between the ends of tasks; {_PERIOD} to fewer images than a task has"
    if need == "classes" and classes_of(result, rule) is None:
        return "the record does not hold correct answers per class; it is of an earlier version"
    if need in ("probe", "probe_means"):
        if probe_of(result) is None:
            return "the run has no probe; run it with --probe tinyimagenet_60"
        return "the probe was not measured after the last step"
    if need == "answers" and predictions is None:
        return "the run has no predictions.npz next to its record"
    if need == "scores" and (predictions is None or not predictions.scores):
        return "the run did not store scores; run it with --save-scores"
    if need == "scores":
        return "the last evaluation did not store scores; run it again with --save-scores --existing always"
    return None


def _is_infinite(result: Mapping[str, Any], rule: str, predictions: Predictions | None) -> bool:
    """Whether the class of a tested image has the probability 0 after the last step."""
    found = None if predictions is None else scores_of(result, predictions, rule)
    return found is not None and nll(matrix_of(result, rule), found) == np.inf


def _periodic(result: Mapping[str, Any]) -> bool:
    split = main_split(result)
    return any(row["split"] == split and is_periodic(result, row) for row in result["rows"])


def _has_no_rows(result: Mapping[str, Any], rule: str) -> bool:
    return rule.startswith("cil_") and not belongs(DOMAIN, result["stream"].get("setting", ""))


def _of_transfer(result: Mapping[str, Any], rule: str, name: str) -> str:
    """Why forward transfer is undefined: the number of steps, the evaluations, or no head before a task."""
    matrix, baseline = matrix_of(result, rule), baseline_of(result, rule)
    later = (matrix.learned >= 1) & (matrix.learned < matrix.steps)
    if not later.any():
        return "no task was learned after the first step"
    if baseline is None:
        return f"later tasks were not evaluated before they were learned; {EVERY}"
    if np.isnan(baseline[later]).any() or np.isnan(matrix.accuracy[0, later]).any():
        if belongs(TASK, result["stream"].get("setting", "")):
            return "the method has no head for a task before it learns the task"
        return "the method cannot predict before it learned a task"
    return f"an evaluation that {name} needs is missing"
