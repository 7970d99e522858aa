"""Time, memory and size of `clbench leaderboard` and `clbench report` on many runs.

Writes synthetic records of ten tasks and a hundred classes (10 streams, 40 strategies, as many seeds as needed) to a
temporary folder. A share of the seeds has predictions, answers for 20 images per class, so that intervals bootstrap
images. What boards need of records, boards and bootstrap resamples are cached, here in a cache of their own: the first
command fills it, later ones read it. A time includes the start of the process.

python benchmarks/results_speed.py
python benchmarks/results_speed.py --records 10000 --predictions 0.2
python benchmarks/results_speed.py --records 10000 --folder runs        # keep the records; use them if they are there
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from cl.records.metrics import recorded_metrics
from cl.records.predictions import ABSENT, Predictions, write_predictions
from cl.records.record import rest_sha256, result_sha256, validate

TASKS, CLASSES, IMAGES = 10, 100, 20
STREAMS, STRATEGIES = 10, 40
DRAWS = 5
"""Seeds that are equal modulo this number have the same answers and class order, which are drawn once."""


class Outcome(NamedTuple):
    """What a strategy answers: tables of two prediction rules, class order, metrics, and predictions as a file."""

    accuracy: dict[str, Any]
    order: list[int]
    metrics: dict[str, Any]
    predictions_sha256: str
    file: bytes


@cache
def outcome(strategy: int, draw: int) -> Outcome:
    """Accuracies that fall with every task, and answers that match them: the first images of each class are correct."""
    rng = np.random.default_rng((strategy, draw))
    per_task = CLASSES // TASKS
    accuracy: dict[str, Any] = {}
    for rule in ("cil_seen", "til_masked"):
        chance = 0.9 - 0.005 * strategy - 0.03 * np.arange(TASKS)
        right = rng.binomial(IMAGES, chance[:, None], size=(TASKS, CLASSES))
        table = [[int(n) if c < (t + 1) * per_task else None for c, n in enumerate(right[t])] for t in range(TASKS)]
        sums = right.reshape(TASKS, TASKS, per_task).sum(axis=2)
        correct = [[int(n) if g <= t else None for g, n in enumerate(sums[t])] for t in range(TASKS)]
        accuracy[rule] = {"correct": correct, "class_correct": table}
    order = np.random.default_rng(draw).permutation(CLASSES).tolist()
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "predictions.npz")
        digest = write_predictions(file, answers(accuracy, order))
        content = file.read_bytes()
    metrics = recorded_metrics(synthetic(0, strategy, draw, accuracy, order)["result"])
    return Outcome(accuracy, order, metrics, digest, content)


def answers(accuracy: dict[str, Any], order: list[int]) -> Predictions:
    """Answers that match the counts."""
    label = np.repeat(np.arange(CLASSES), IMAGES)
    place = np.tile(np.arange(IMAGES), CLASSES)
    prediction, margin = {}, {}
    for rule, table in accuracy.items():
        right = np.array([[-1 if n is None else n for n in row] for row in table["class_correct"]])[:, label]
        wrong = np.where(right < 0, ABSENT, (label + 1) % CLASSES)
        prediction[rule] = np.where(place < right, label, wrong)
        margin[rule] = np.zeros(prediction[rule].shape)
    rows = np.array(order)[label] * IMAGES + place
    return Predictions(rows, label, label // (CLASSES // TASKS), prediction, margin)


def synthetic(stream: int, strategy: int, seed: int, accuracy: dict[str, Any], order: list[int]) -> dict[str, Any]:
    """One record with the given tables, without metrics and hashes."""
    per_task = CLASSES // TASKS
    groups = [
        {"name": f"task {i}", "classes": list(range(i * per_task, (i + 1) * per_task)), "task": i} for i in range(TASKS)
    ]
    result: dict[str, Any] = {
        "stream": {
            "name": f"stream-{stream}", "version": "1", "setting": "class-incremental", "options": {"tasks": TASKS},
            "n_tasks": TASKS, "n_classes": CLASSES, "class_order": order,
            "class_names": [f"class {i}" for i in order],
            "fingerprints": {"train": "a" * 64, "test": "b" * 64}, "verified": True, "groups": groups,
            "id": f"{seed:064x}",
        },
        "strategy": {
            "name": f"method-{strategy}", "version": "1", "distribution": "synthetic", "source_sha256": "c" * 64,
            "access": "present", "rules": list(accuracy), "preset": None,
        },
        "config": {f"option_{i}": {"value": i, "origin": "default"} for i in range(20)},
        "backbone": {
            "name": "vit_micro", "weights_sha256": "d" * 64, "parameters": 1000, "dim": 64, "input": {"size": 32},
            "pretraining": "none",
        },
        "seeds": {"order": seed, "init": seed, "data": seed}, "precision": {"dtype": "fp32"}, "limited": False,
        "rows": [{"event": 2 * i + 1, "task": i, "split": "test"} for i in range(TASKS)], "accuracy": accuracy,
        "count": [IMAGES * per_task] * TASKS, "class_count": [IMAGES] * CLASSES, "metrics": {},
        "predictions_sha256": None,
    }  # fmt: skip
    return {
        "schema_version": "1.5", "status": "complete", "run_id": f"{stream}-{strategy}-{seed}",
        "config_hash": f"{strategy:08x}", "error": None, "result": result,
        "measurement": {
            "created": "2025-01-01T00:00:00+00:00",
            "seconds": {
                "train": 75.0 + strategy + seed / 7, "eval": 5.0, "data": 1.0, "checkpoint": 0.5, "total": 90.0,
            },
            "events": [{"event": i, "executed": 1e12, "seconds": 4.0, "uncached": 1e12} for i in range(2 * TASKS)],
            "flops": {"executed": 1e12, "uncached": 2e12}, "memory": {"peak_rss": 3e8 + seed, "peak_device": None},
            "parameters": {"total": 1000, "trainable": 100}, "resumed_from": [], "warnings": [],
            "stored": {"samples": 0, "statistics": 64, "parameters": 400},
            "environment": {"packages": {"torch": "2.8.0", "timm": "1.0"}},
        },
    }  # fmt: skip


def write(folder: Path, number: int, predictions: float) -> None:
    seeds = -(-number // (STREAMS * STRATEGIES))
    for index in range(number):
        rest, seed = divmod(index, seeds)
        stream, strategy = divmod(rest, STRATEGIES)
        found = outcome(strategy, seed % DRAWS)
        record = synthetic(stream, strategy, seed, found.accuracy, found.order)
        stored = seed < round(predictions * seeds)
        record["result"] |= {
            "metrics": found.metrics,
            "predictions_sha256": found.predictions_sha256 if stored else None,
        }
        record["result_sha256"] = result_sha256(record["result"])
        record["rest_sha256"] = rest_sha256(record)
        if index == 0:
            validate(record)
        run = folder / f"stream-{stream}" / f"method-{strategy}" / "vit_micro" / record["config_hash"] / f"seed{seed}"
        run.mkdir(parents=True)
        run.joinpath("record.json").write_text(json.dumps(record, sort_keys=True, indent=1) + "\n", encoding="utf-8")
        if stored:
            run.joinpath("predictions.npz").write_bytes(found.file)


def timed(home: Path, *arguments: str) -> str:
    """Run a command; its wall and processor time, and its peak memory (the largest so far of all commands)."""
    start, before = time.perf_counter(), os.times()
    command = [sys.executable, "-m", "cl.cli", *arguments]
    environment = {**os.environ, "CLBENCH_HOME": str(home)}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    wall, after = time.perf_counter() - start, os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000  # kB on Linux
    return f"{wall:.2f} s, of which {busy:.2f} s on the processor; peak memory so far {peak:.0f} MB"


@click.command(help=__doc__)
@click.option("--records", default=1000, show_default=True)
@click.option("--predictions", default=0.0, show_default=True, help="Share of the seeds with stored predictions.")
@click.option("--folder", type=click.Path(path_type=Path), help="Write the records here, or use those that are here.")
def main(records: int, predictions: float, folder: Path | None) -> None:
    with tempfile.TemporaryDirectory() as name:
        runs = folder or Path(name, "runs")
        if not runs.exists():
            start = time.perf_counter()
            write(runs, records, predictions)
            click.echo(f"{records} records written in {time.perf_counter() - start:.0f} s")
        page, home = Path(name, "report.html"), Path(name, "home")
        for kept in ("first", "again", "again"):
            click.echo(f"leaderboard, {kept}: {timed(home, 'leaderboard', str(runs))}")
        for kept in ("first", "again"):
            shown = timed(home, "report", str(runs), "--out", str(page))
            size = sum(file.stat().st_size for file in Path(name).glob("report*") if file.is_file())
            click.echo(f"report, {kept}: {shown}; {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
