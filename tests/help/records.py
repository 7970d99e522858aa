"""Records to test with: a small class-incremental run whose numbers are the worked example of the metrics sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cl.records.metrics import recorded_metrics
from cl.records.predictions import ABSENT, Predictions, write_predictions
from cl.records.record import result_sha256, save
from cl.results.leaderboard.entries import Run

WORKED: list[list[int | None]] = [[90, None, None], [80, 70, None], [60, 75, 50]]


def build_record(
    correct: list[list[int | None]] | None = None,
    *,
    seed: int = 0,
    strategy: str = "slca",
    rules: tuple[str, ...] = ("cil_seen",),
    **changes: Any,
) -> dict[str, Any]:
    """A valid record; `changes` replace values by dotted path, with `__` for the dot."""
    correct = WORKED if correct is None else correct
    tasks = len(correct[0]) if correct else 3
    result: dict[str, Any] = {
        "stream": {
            "name": "split-toy",
            "version": "1",
            "setting": "class-incremental",
            "options": {"tasks": tasks},
            "n_tasks": tasks,
            "n_classes": 2 * tasks,
            "class_order": list(range(2 * tasks)),
            "class_names": [f"class {i}" for i in range(2 * tasks)],
            "fingerprints": {"train": "a" * 64, "test": "b" * 64},
            "verified": True,
            "groups": [{"name": f"task {i}", "classes": [2 * i, 2 * i + 1], "task": i} for i in range(tasks)],
            "id": "stream-0",
        },
        "strategy": {
            "name": strategy,
            "version": "1",
            "distribution": "clbench",
            "source_sha256": "c" * 64,
            "access": "present",
            "rules": list(rules),
            "preset": "default",
        },
        "config": {"epochs": {"value": 20, "origin": "default"}},
        "backbone": {
            "name": "vit_micro",
            "weights_sha256": "d" * 64,
            "parameters": 1000,
            "dim": 64,
            "input": {"size": 32},
            "pretraining": "toy",
        },
        "seeds": {"order": seed, "init": seed, "data": seed},
        "precision": {"dtype": "float32"},
        "limited": False,
        "rows": [{"event": 2 * i + 1, "task": i, "split": "test"} for i in range(len(correct))],
        "accuracy": {rule: {"correct": correct} for rule in rules},
        "count": [100] * tasks,
        "class_count": [50] * (2 * tasks),
        "metrics": {},
        "predictions_sha256": None,
    }
    record: dict[str, Any] = {
        "schema_version": "1.0",
        "status": "complete",
        "run_id": f"{strategy}-{seed}",
        "error": None,
        "result": result,
        "measurement": {
            "created": "2025-01-01T00:00:00+00:00",
            "seconds": {"train": 75.0, "eval": 5.0, "data": 1.0, "checkpoint": 0.5, "total": 90.0},
            "events": [],
            "flops": {"executed": 1.0e12, "uncached": 2.0e12},
            "memory": {"peak_rss": 3.0e8, "peak_device": None},
            "parameters": {"total": 1000, "trainable": 100},
            "stored": {"samples": 0, "statistics": 64, "parameters": 400},
            "environment": {"packages": {"torch": "2.8.0", "timm": "1.0"}},
            "resumed_from": [],
            "warnings": [],
        },
    }
    for dotted, value in changes.items():
        *parents, key = dotted.split("__")
        section = record
        for parent in parents:
            section = section[parent]
        section[key] = value
    result["metrics"] = recorded_metrics(result)
    record["result_sha256"] = result_sha256(result)
    return record


def build_probe(
    ridge: Sequence[int], means: Sequence[int] | None = None, tasks: Sequence[int | None] = (None, 0, 1, 2)
) -> dict[str, Any]:
    """A probe of 200 test images with these right answers after `tasks`; None: before the first one."""
    rows = [
        {"event": None if task is None else 2 * task + 1, "task": task, "ridge": one, "nearest_mean": two}
        for task, one, two in zip(tasks, ridge, ridge if means is None else means, strict=True)
    ]
    prints = {"train": "e" * 64, "test": "f" * 64}
    return {"dataset": "other", "fingerprints": prints, "train": 600, "test": 200, "classes": 20, "rows": rows}


def build_run(folder: Path, right: NDArray[np.bool_], *, seed: int = 0, **changes: Any) -> Run:
    """A run with predictions on three tasks of two classes: `right` [3, n] says which images it answers after each.

    The n images are in canonical order, equally many of each class; the seed draws the class order.
    """
    steps, images = right.shape
    order = np.random.default_rng(seed).permutation(6)
    position = np.argsort(order)[np.arange(images) // (images // 6)]
    group = position // 2
    seen = group[None, :] <= np.arange(steps)[:, None]
    answer = np.where(seen, np.where(right, position, (position + 1) % 6), ABSENT)
    correct = [
        [int((right[step] & (group == each)).sum()) if each <= step else None for each in range(3)]
        for step in range(steps)
    ]
    classes = [
        [int((right[step] & (position == each)).sum()) if each // 2 <= step else None for each in range(6)]
        for step in range(steps)
    ]
    record = build_record(
        correct,
        seed=seed,
        result__stream__class_order=order.tolist(),
        result__stream__class_names=[f"class {label}" for label in order],
        result__stream__id=f"order-{seed}",
        result__accuracy={"cil_seen": {"correct": correct, "class_correct": classes}},
        result__count=[images // 3] * 3,
        result__class_count=[images // 6] * 6,
        **changes,
    )
    at = np.argsort(position, kind="stable")  # as a stream lists its test images: group after group
    found = Predictions(at, position[at], group[at], {"cil_seen": answer[:, at]}, {})
    record["result"]["predictions_sha256"] = write_predictions(folder / "predictions.npz", found)
    return Run(save(record, folder / "record.json"), folder)
