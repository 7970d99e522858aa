"""Metrics that records do not hold, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cl.protocol import ANYTIME
from cl.records.matrix import AccuracyMatrix, Offline
from cl.records.metrics import METRICS, metrics_of
from tests.help.matrices import values

LATER = [name for name, metric in METRICS.items() if not metric.recorded]
WORKED: list[list[int | None]] = [[90, None, None], [80, 70, None], [60, 75, 50]]
ONLINE = "online class-incremental"


def test_worked_example() -> None:
    matrix = AccuracyMatrix.of(WORKED, [100] * 3)
    got = values(matrix, LATER, offline=Offline(0.8, np.array([0.9, 0.8, 0.7])), classes=matrix)
    want = {
        "A_last_sample_pilot": 0.6167,
        "A_macro": 185 / 300,
        "F_class": ((90 - 60) + (70 - 75)) / 200,
        "DR_A": (90 + 80 + 70 + 60 + 75 + 50) / 600,
        "DR_BWT": ((80 - 90) + (60 - 90) + (75 - 70)) / 300,
        "DR_REM": 1 - 35 / 300,
        "DR_BWT_plus": 0.0,
        "Omega_base": (0.8 + 0.6) / 2 / 0.8,
        "Omega_new": (0.7 + 0.5) / 2,
        "Omega_all": (0.75 / 0.8 + 185 / 300 / 0.7) / 2,
    }
    assert got == pytest.approx(want)
    better = values(AccuracyMatrix.of([[5, None], [8, 5]], [10, 10]), LATER)
    assert better["DR_BWT_plus"] == pytest.approx(0.3) and better["DR_REM"] == 1.0
    assert "DR_FWT" not in better
    full = AccuracyMatrix.of([[9, 3, 1], [8, 7, 2], [6, 7, 5]], [10] * 3)
    assert values(full, ["DR_FWT"])["DR_FWT"] == pytest.approx((0.3 + 0.1 + 0.2) / 3)


def test_metrics_of_online_streams() -> None:
    """Group 0 is learned at the second evaluation, group 1 at the last."""
    table: list[list[int | None]] = [[2, None], [9, None], [4, 1], [7, 3], [6, 8]]
    matrix = AccuracyMatrix.of(table, [10, 10], learned=[1, 4])
    got = values(matrix, ["min_ACC", "WC_ACC", "WF_10", "WP_10"], continual=matrix, setting=ONLINE)
    assert got == pytest.approx({
        "min_ACC": 0.4, "WC_ACC": (0.4 + 0.8) / 2, "WF_10": (0.5 + 0.0) / 2, "WP_10": (0.7 + 0.7) / 2,
    })  # fmt: skip
    assert values(matrix, ["min_ACC", "WC_ACC", "WF_10", "WP_10"], setting=ONLINE) == {}


def test_a_window_holds_ten_evaluations() -> None:
    falling = [[20 - step] for step in range(15)]
    matrix = AccuracyMatrix.of(falling, [20], learned=[0])
    assert values(matrix, ["WF_10"], continual=matrix, setting=ONLINE) == {"WF_10": pytest.approx(9 / 20)}
    assert values(matrix, ["WP_10"], continual=matrix, setting=ONLINE) == {"WP_10": 0.0}


def test_class_wise_forgetting_leaves_out_classes_that_were_never_right() -> None:
    classes = AccuracyMatrix.of([[5, 0, None], [8, 0, None], [6, 3, 9]], [10] * 3, learned=[0, 0, 2])
    assert values(classes, ["F_class"], classes=classes)["F_class"] == pytest.approx(0.2)


def class_result(**stream: Any) -> dict[str, Any]:
    """Two tasks of two classes; unequal numbers of images."""
    groups = [{"classes": [0, 1], "task": 0}, {"classes": [2, 3], "task": 1}]
    return {
        "stream": {"setting": "class-incremental", "n_tasks": 2, "groups": groups, **stream},
        "rows": [{"event": i, "task": i, "split": "test"} for i in (0, 1)],
        "count": [10, 10], "class_count": [4, 6, 8, 2],
        "accuracy": {"cil_seen": {
            "correct": [[9, None], [5, 9]], "class_correct": [[4, 5, None, None], [2, 3, 8, 1]]}},
    }  # fmt: skip


def test_macro_accuracy_and_class_forgetting_come_from_the_counts_of_a_record() -> None:
    got = metrics_of(class_result())["cil_seen"]
    assert got["A_macro"] == pytest.approx((2 / 4 + 3 / 6 + 1 + 1 / 2) / 4)
    assert got["F_class"] == pytest.approx(((1 - 2 / 4) + (5 / 6 - 3 / 6)) / 2)
    old = class_result()
    del old["accuracy"]["cil_seen"]["class_correct"]
    assert metrics_of(old)["cil_seen"]["A_macro"] is None


def test_answers_of_heads_before_their_training_are_not_forgotten() -> None:
    """With `evaluate_on` all, the classes of the last task are answered before it too: that is no accuracy to lose."""
    every = class_result()
    every["accuracy"]["cil_seen"] |= {"correct": [[9, 5], [5, 9]], "class_correct": [[4, 5, 3, 2], [2, 3, 8, 1]]}
    assert metrics_of(every)["cil_seen"]["F_class"] == metrics_of(class_result())["cil_seen"]["F_class"]
    every["stream"]["setting"] = ONLINE  # here classes may come back in several tasks, and the row says how many came
    for row, seen in zip(every["rows"], (3, 4), strict=True):
        row["seen"] = seen
    assert metrics_of(every)["cil_seen"]["F_class"] == pytest.approx((1 / 2 + 1 / 3 + 3 / 8 - 1) / 3)


def test_domains_share_their_classes_so_an_early_row_does_not_have_all_images_of_a_class() -> None:
    groups = [{"classes": [0, 1], "task": 0}, {"classes": [0, 1], "task": 1}]
    shared = class_result(setting="domain-incremental", groups=groups)
    shared["class_count"] = [10, 10]
    shared["accuracy"]["cil_seen"]["class_correct"] = [[4, 5], [7, 7]]
    got = metrics_of(shared)["cil_seen"]
    assert got["A_macro"] == pytest.approx(0.7) and got["F_class"] is None


def test_only_streams_with_evaluations_between_tasks_have_the_metrics_of_online_streams() -> None:
    assert not {"min_ACC", "WC_ACC", "WF_10", "WP_10"} & set(metrics_of(class_result())["cil_seen"])
    assert metrics_of(class_result(setting=ONLINE))["cil_seen"]["WC_ACC"] is None
    between = class_result(setting=ONLINE, n_tasks=3)
    between["stream"]["groups"][0]["task"], between["rows"][1]["task"] = 1, 2
    between["stream"]["groups"][1]["task"] = 2
    between["rows"].insert(1, {"event": 5, "task": 1, "split": "test"})
    between["accuracy"]["cil_seen"]["correct"].insert(1, [8, None])
    between["accuracy"]["cil_seen"]["class_correct"].insert(1, [4, 4, None, None])
    assert metrics_of(between)["cil_seen"]["WC_ACC"] == pytest.approx((0.5 + 0.9) / 2)
    assert all(METRICS[name].setting == ANYTIME for name in ("min_ACC", "WC_ACC", "WF_10", "WP_10"))
