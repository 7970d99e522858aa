"""Anytime accuracy against numbers by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cl.records.matrix import anytime_of
from cl.records.metrics import metrics_of, shown


def online_result() -> dict[str, Any]:
    """Two groups; the second ends with the last of three evaluations."""
    return {
        "stream": {"setting": "online class-incremental", "n_tasks": 4,
                   "groups": [{"classes": [0, 1], "task": 1}, {"classes": [2], "task": 3}]},
        "rows": [{"event": number, "task": task, "split": "test", "seen": seen}
                 for number, task, seen in ((1, 0, 1), (3, 1, 2), (6, 3, 3))],
        "count": [10, 10], "class_count": [4, 6, 10],
        "accuracy": {"cil_seen": {
            "correct": [[3, None], [4, None], [6, 5]], "class_correct": [[3, 0, None], [1, 3, None], [2, 4, 5]]}},
    }  # fmt: skip


def test_anytime_accuracy_is_the_mean_over_periodic_evaluations_of_the_classes_seen() -> None:
    result = online_result()
    for row, periodic in zip(result["rows"], (True, True, False), strict=True):
        row["periodic"] = periodic
    anytime = anytime_of(result, "cil_seen")
    assert anytime is not None and np.allclose(anytime, [3 / 4, 4 / 10])
    assert metrics_of(result)["cil_seen"]["A_auc"] == pytest.approx((3 / 4 + 4 / 10) / 2)
    assert shown("online class-incremental")[0] == "A_auc" and "A_auc" not in shown("class-incremental")
    for row in result["rows"]:
        del row["seen"]
    assert metrics_of(result)["cil_seen"]["A_auc"] is None


def test_records_of_earlier_versions_count_the_evaluations_between_tasks() -> None:
    assert metrics_of(online_result())["cil_seen"]["A_auc"] == pytest.approx(3 / 4)
    ends = online_result()
    ends["stream"]["groups"][0]["task"] = 0
    ends["rows"].pop(1)
    for table in ends["accuracy"]["cil_seen"].values():
        table.pop(1)
    assert metrics_of(ends)["cil_seen"]["A_auc"] is None, "without a period it is not A_auc"
