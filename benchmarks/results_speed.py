"""Time of `clbench leaderboard` and `clbench report` on many runs.

Writes synthetic records of ten tasks and a hundred classes (40 strategies, 5 seeds, 5 streams) to a temporary folder.
With predictions, every run has answers for 100 images per class, so that ranks bootstrap images: 0.9 GB for 1000 runs.
Bootstrap resamples are cached, here in a temporary cache: the first command computes them, later ones only for new
runs.

python benchmarks/results_speed.py
python benchmarks/results_speed.py --records 1000 --predictions
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from cl.records.metrics import recorded_metrics
from cl.records.predictions import ABSENT, Predictions, write_predictions
from cl.records.record import result_sha256, validate

TASKS, CLASSES, IMAGES = 10, 100, 100


def synthetic(stream: int, strategy: int, seed: int, rng: np.random.Generator) -> dict[str, Any]:
    """One valid record whose accuracies fall with every task, with the tables of two prediction rules."""
    per_task = CLASSES // TASKS
    groups = [
        {"name": f"task {i}", "classes": list(range(i * per_task, (i + 1) * per_task)), "task": i} for i in range(TASKS)
    ]
    accuracy: dict[str, Any] = {}
    for rule in ("cil_seen", "til_masked"):
        chance = 0.9 - 0.005 * strategy - 0.03 * np.arange(TASKS)
        drawn = rng.binomial(IMAGES, chance[:, None], size=(TASKS, CLASSES))
        table = [[int(n) if c < (t + 1) * per_task else None for c, n in enumerate(drawn[t])] for t in range(TASKS)]
        sums = drawn.reshape(TASKS, TASKS, per_task).sum(axis=2)
        correct = [[int(n) if g <= t else None for g, n in enumerate(sums[t])] for t in range(TASKS)]
        accuracy[rule] = {"correct": correct, "class_correct": table}
    result: dict[str, Any] = {
        "stream": {
            "name": f"stream-{stream}", "version": "1", "setting": "class-incremental", "options": {"tasks": TASKS},
            "n_tasks": TASKS, "n_classes": CLASSES, "class_order": rng.permutation(CLASSES).tolist(),
            "class_names": [f"class {i}" for i in range(CLASSES)],
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
    result["metrics"] = recorded_metrics(result)
    return {
        "schema_version": "1.0", "status": "complete", "run_id": f"{stream}-{strategy}-{seed}",
        "config_hash": f"{strategy:08x}", "error": None, "result": result, "result_sha256": result_sha256(result),
        "measurement": {
            "created": "2025-01-01T00:00:00+00:00",
            "seconds": {"train": 75.0, "eval": 5.0, "data": 1.0, "checkpoint": 0.5, "total": 90.0},
            "events": [{"event": i, "executed": 1e12, "seconds": 4.0, "uncached": 1e12} for i in range(2 * TASKS)],
            "flops": {"executed": 1e12, "uncached": 2e12}, "memory": {"peak_rss": 3e8, "peak_device": None},
            "parameters": {"total": 1000, "trainable": 100}, "resumed_from": [], "warnings": [],
            "stored": {"samples": 0, "statistics": 64, "parameters": 400},
            "environment": {"packages": {"torch": "2.8.0", "timm": "1.0"}},
        },
    }  # fmt: skip


def answers(record: dict[str, Any]) -> Predictions:
    """Answers that match the record's counts: the first images of each class are correct."""
    label = np.repeat(np.arange(CLASSES), IMAGES)
    place = np.tile(np.arange(IMAGES), CLASSES)
    prediction, margin = {}, {}
    for rule, table in record["result"]["accuracy"].items():
        right = np.array([[-1 if n is None else n for n in row] for row in table["class_correct"]])[:, label]
        wrong = np.where(right < 0, ABSENT, (label + 1) % CLASSES)
        prediction[rule] = np.where(place < right, label, wrong)
        margin[rule] = np.zeros(prediction[rule].shape)
    rows = np.array(record["result"]["stream"]["class_order"])[label] * IMAGES + place
    return Predictions(rows, label, label // (CLASSES // TASKS), prediction, margin)


def write(folder: Path, number: int, predictions: bool) -> None:
    rng = np.random.default_rng(0)
    for index in range(number):
        stream, rest = divmod(index, 200)
        strategy, seed = divmod(rest, 5)
        record = synthetic(stream, strategy, seed, rng)
        if index == 0:
            validate(record)
        run = folder / f"stream-{stream}" / f"method-{strategy}" / f"seed{seed}"
        run.mkdir(parents=True)
        run.joinpath("record.json").write_text(json.dumps(record, sort_keys=True, indent=1) + "\n", encoding="utf-8")
        if predictions:
            write_predictions(run / "predictions.npz", answers(record))


def timed(home: Path, *arguments: str) -> str:
    start, before = time.perf_counter(), os.times()
    command = [sys.executable, "-m", "cl.cli", *arguments]
    environment = {**os.environ, "CLBENCH_HOME": str(home)}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    wall, after = time.perf_counter() - start, os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    return f"{wall:.2f} s, of which {busy:.2f} s on the processor"


@click.command(help=__doc__)
@click.option("--records", default=1000, show_default=True)
@click.option("--predictions/--no-predictions", help="Store every prediction with the records.")
def main(records: int, predictions: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        write(Path(name, "runs"), records, predictions)
        page, home = Path(name, "report.html"), Path(name, "home")
        for kept in ("first", "again", "again"):
            shown = timed(home, "leaderboard", f"{name}/runs")
            click.echo(f"leaderboard of {records} records, {kept}: {shown}")
        shown = timed(home, "report", f"{name}/runs", "--out", str(page))
        click.echo(f"report: {shown}, {page.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
