"""Anytime accuracy against numbers by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cl.records.matrix import anytime_of
from cl.records.metrics import metrics_of, shown


def test_anytime_accuracy_counts_the_classes_seen() -> None:
    result: dict[str, Any] = {
        "stream": {"setting": "online class-incremental", "n_tasks": 4,
                   "groups": [{"classes": [0, 1], "task": 1}, {"classes": [2], "task": 3}]},
        "rows": [{"event": number, "task": task, "split": "test", "seen": seen}
                 for number, task, seen in ((1, 0, 1), (3, 1, 2), (6, 3, 3))],
        "count": [10, 10], "class_count": [4, 6, 10],
        "accuracy": {"cil_seen": {
            "correct": [[3, None], [4, None], [6, 5]], "class_correct": [[3, 0, None], [1, 3, None], [2, 4, 5]]}},
    }  # fmt: skip
    anytime = anytime_of(result, "cil_seen")
    assert anytime is not None and np.allclose(anytime, [3 / 4, 4 / 10, 11 / 20])
    assert metrics_of(result)["cil_seen"]["A_auc"] == pytest.approx((3 / 4 + 4 / 10 + 11 / 20) / 3)
    assert shown("online class-incremental")[0] == "A_auc" and "A_auc" not in shown("class-incremental")
    for row in result["rows"]:
        del row["seen"]
    assert metrics_of(result)["cil_seen"]["A_auc"] is None
