"""Metrics of a matrix, and results that hold one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cl.records.matrix import AccuracyMatrix
from cl.records.metrics import METRICS, compute_all

RECORDED = tuple(name for name, metric in METRICS.items() if metric.recorded)


def values(matrix: AccuracyMatrix, names: Sequence[str] = RECORDED, **extra: Any) -> dict[str, float]:
    """Metrics that are defined, of those that records hold or of others."""
    return {name: value for name, value in compute_all(matrix, names=names, **extra).items() if value is not None}


def result_of(
    correct: list[Any], rows: list[tuple[int | None, str]], own: list[int | None], **more: Any
) -> dict[str, Any]:
    groups = [{"name": str(i), "classes": [i], "task": task} for i, task in enumerate(own)]
    stream = {"n_tasks": more.pop("n_tasks", len(own)), "groups": groups}
    places = [{"event": i, "task": task, "split": split} for i, (task, split) in enumerate(rows)]
    accuracy = {rule: {"correct": table} for rule, table in more.pop("rules", {"cil_seen": correct}).items()}
    return {"stream": stream, "rows": places, "accuracy": accuracy, "count": [10] * len(own), **more}
