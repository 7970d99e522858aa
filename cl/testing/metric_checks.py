"""Checks of a metric: what it declares, and that its formula is a pure function with values in its range."""

from __future__ import annotations

import copy
import inspect
import random
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cl import registry
from cl.errors import ClbenchError
from cl.records.matrix import AccuracyMatrix, Matrices
from cl.records.metric import Metric
from cl.records.metrics import BUILT_IN, METRICS, inputs_of
from cl.records.plugin_metrics import sections
from cl.records.predictions import PREDICTIONS, read_predictions
from cl.records.reasons import why_undefined
from cl.testing.report import CheckFailure, CheckSkipped
from cl.testing.small_runs import has, small_run

ROUNDING = 1e-9


class MetricSubject:
    """A metric under examination, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_plugin = name not in BUILT_IN
        self.doc = registry.metrics.docstring(name) if self.is_plugin else BUILT_IN[name].title
        self._run: tuple[dict[str, Any], Any] | None = None

    @property
    def own(self) -> Path | None:
        """The author's file."""
        return registry.metrics.source(self.name) if self.is_plugin else None

    @cached_property
    def metric(self) -> Metric:
        """What is declared; raises `CheckSkipped` if it cannot be used, which the check `declarations` reports."""
        try:
            return METRICS[self.name]
        except ClbenchError as error:
            raise CheckSkipped("its declarations cannot be used; correct them first.") from error

    @cached_property
    def compute(self) -> Callable[..., Any]:
        """The formula, whose errors come out as they are."""
        metric = self.metric
        found: Callable[..., Any] = registry.metrics.get(self.name)().compute if self.is_plugin else metric.compute
        return found

    def cases(self) -> Iterator[tuple[str, AccuracyMatrix, dict[str, Any]]]:
        """What it is computed for: matrices of all shapes if it needs nothing else, and the rules of a small run."""
        if not self.metric.needs:
            yield from ((what, matrix, {}) for what, matrix in matrices().items())
        yield from ((f"the small run, rule {rule}", *found) for rule, found in self.of_run().items())

    def of_run(self) -> dict[str, tuple[AccuracyMatrix, dict[str, Any]]]:
        """Matrix and further inputs for each rule of a small run in its setting, without rules where an input lacks."""
        if not has(self.metric.setting):
            return {}
        result, predictions = self.run
        needed, matrices = set(self.metric.needs), Matrices(result)
        found = {rule: inputs_of(matrices, rule, needed, predictions=predictions) for rule in result["accuracy"]}
        return {
            rule: (matrix, {need: given[need] for need in self.metric.needs})
            for rule, (matrix, given) in found.items()
            if all(given.get(need) is not None for need in self.metric.needs)
        }

    @property
    def run(self) -> tuple[dict[str, Any], Any]:
        """The result of a small run, and its predictions."""
        if self._run is None:
            with small_run(self.metric.setting) as made:
                self._run = dict(made.record["result"]), read_predictions(made.folder / PREDICTIONS)
        return self._run


def matrices() -> dict[str, AccuracyMatrix]:
    """Matrices of every shape that streams and interrupted runs give, by what they are."""
    rng = np.random.default_rng(0)
    count = np.array([30, 40, 50, 60])
    full = np.floor(rng.uniform(0.2, 0.95, (4, 4)) * count)
    upper = np.triu(np.ones((4, 4), dtype=bool), 1)
    lower = np.where(upper, np.nan, full)
    ranked = np.where(np.arange(4)[None, :] == 1, rng.uniform(0.2, 0.9, (4, 4)), np.nan)
    return {
        "four tasks": AccuracyMatrix.of(lower, count),
        "four tasks, all evaluated": AccuracyMatrix.of(full, count),
        "everything right": AccuracyMatrix.of(np.where(upper, np.nan, count + 0.0), count),
        "nothing right": AccuracyMatrix.of(np.where(upper, np.nan, 0.0), count),
        "one task": AccuracyMatrix.of(lower[:1, :1], count[:1]),
        "no evaluation yet": AccuracyMatrix.of(lower[:0], count),
        "a task that was not evaluated": AccuracyMatrix.of(np.where(np.arange(4) == 2, np.nan, full), count),
        "a task without test images": AccuracyMatrix.of(np.where(np.arange(4) == 3, 0.0, lower), [*count[:3], 0]),
        "shared labels": AccuracyMatrix.of(full, count, learned=[-1] * 4),
        "a task with several classes per image": AccuracyMatrix.of(
            np.where(np.isnan(ranked), lower, np.nan), count, mean_precision=np.where(upper, np.nan, ranked)
        ),
    }


def documented(subject: MetricSubject) -> None:
    """The docstring says what is measured, and has the sections Formula and Source."""
    if not subject.is_plugin:
        return
    title, found = sections(inspect.cleandoc(subject.doc))
    if not title:
        raise CheckFailure("the class has no docstring.", "say in its first line what it measures; lists show it.")
    if lacking := [section for section in ("Formula", "Source") if not found.get(section)]:
        raise CheckFailure(
            f"the docstring has no {' and no '.join(repr(f'{each}:') for each in lacking)}.",
            "add a line for each, as `clbench metrics F_chaudhry` shows them.",
        )


def declarations(subject: MetricSubject) -> None:
    """Name, direction, unit, range and needs are declared so that they can be used."""
    if subject.is_plugin and subject.name in BUILT_IN:
        raise CheckFailure("a metric of clbench has this name.", "register it under another.")
    try:
        metric = METRICS[subject.name]
    except ClbenchError as error:
        raise CheckFailure(str(error), "declare it as in docs/add-a-metric.md.") from error.__cause__
    if not metric.lowest < metric.highest:
        raise CheckFailure(f"lowest is {metric.lowest:g} and highest {metric.highest:g}.", "declare the true range.")


def computes(subject: MetricSubject) -> None:
    """It gives a number, or NaN where it is undefined, for runs of any shape, and a number for a complete run."""
    for what, matrix, inputs in subject.cases():
        value = subject.compute(matrix, **inputs)
        if not isinstance(value, (int, float, np.floating, np.integer)) or isinstance(value, bool):
            raise CheckFailure(f"compute returned {value!r} for {what}.", "return a float; float('nan') if undefined.")
    if not has(subject.metric.setting):
        raise CheckSkipped(f"there is no small run in the setting {subject.metric.setting}.")
    found = subject.of_run()
    if not found:
        result, predictions = subject.run
        rule = next(iter(result["accuracy"]))
        raise CheckSkipped(f"no small run has what it needs: {_why(result, rule, subject.name, predictions)}.")
    if not any(np.isfinite(subject.compute(matrix, **inputs)) for matrix, inputs in found.values()):
        rules = ", ".join(found)
        if set(subject.metric.needs) - {"result", "rule"}:  # such as a baseline that this method has under no rule
            raise CheckSkipped(f"it is undefined for the small run, under the rules {rules}.")
        raise CheckFailure(
            f"it is undefined for a complete run of three tasks, under the rules {rules}.",
            "return a number for it, or declare the setting that the metric is for.",
        )


def _why(result: Mapping[str, Any], rule: str, name: str, predictions: Any) -> str:
    return why_undefined(result, rule, name, predictions=predictions)


def in_range(subject: MetricSubject) -> None:
    """Values are within the declared range."""
    metric = subject.metric
    for what, matrix, inputs in subject.cases():
        value = float(subject.compute(matrix, **inputs))
        if np.isfinite(value) and not metric.lowest - ROUNDING <= value <= metric.highest + ROUNDING:
            raise CheckFailure(
                f"it is {value:g} for {what}, outside {metric.lowest:g} to {metric.highest:g}.",
                "declare lowest and highest, float('inf') without a bound; a metric with another unit declares it.",
            )


def pure(subject: MetricSubject) -> None:
    """The same inputs give the same value, whatever the random generators hold, and are left as they are."""
    for what, matrix, inputs in subject.cases():
        before = copy.deepcopy(inputs)
        values = []
        for seed in (1, 2):
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            values.append(float(subject.compute(matrix, **inputs)))
        if not np.array_equal(values[:1], values[1:], equal_nan=True):
            raise CheckFailure(
                f"it is {values[0]:g} and then {values[1]:g} for {what}.",
                "draw nothing at random and keep nothing between two calls.",
            )
        if changed := [name for name in inputs if repr(inputs[name]) != repr(before[name])]:
            raise CheckFailure(f"compute changed its argument {changed[0]}.", "copy what you change.")


def smooth(subject: MetricSubject) -> None:
    """The value has no jumps as the counts change, or smooth = False says that it has."""
    if not subject.is_plugin:
        raise CheckSkipped("of the rounded metrics of clbench, intervals take the unrounded ones.")
    if subject.metric.needs or not subject.metric.smooth:
        raise CheckSkipped("test images have no share in it: its intervals resample seeds only.")
    for what, matrix in matrices().items():
        for row, group in zip(*np.nonzero(~np.isnan(matrix.correct)), strict=True):
            now, most = matrix.correct[row, group], float(matrix.count[group])
            for low, high in ((0.0, most), (now, min(now + 1, most))):
                place, jump = _jump(partial(_at, subject, matrix, (row, group)), low, high)
                if jump > ROUNDING:
                    raise CheckFailure(
                        f"for {what}, it jumps by {jump:.3g} when the correct answers of a task pass {place:.4g}.",
                        "declare smooth = False: intervals over test images need a change in proportion.",
                    )


def _at(subject: MetricSubject, matrix: AccuracyMatrix, cell: Any, count: float) -> float:
    correct = matrix.correct.copy()
    correct[cell] = count
    return float(subject.compute(matrix.changed(correct)))


def _jump(value: Callable[[float], float], low: float, high: float) -> tuple[float, float]:
    """Where a function changes most between two numbers, and by how much within 1e-12 of their distance."""
    first, last = value(low), value(high)
    for _ in range(40):
        if not np.isfinite([first, last]).all() or abs(last - first) <= ROUNDING:
            return low, 0.0
        middle = (low + high) / 2
        between = value(middle)
        if abs(between - first) >= abs(last - between):
            high, last = middle, between
        else:
            low, first = middle, between
    return low, abs(last - first)


ALL = (documented, declarations, computes, in_range, pure, smooth)
