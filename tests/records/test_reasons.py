"""Why a metric is undefined: what was not measured, and the option that measures it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cl.records.metrics import METRICS, metrics_of
from cl.records.predictions import Predictions
from cl.records.reasons import why_undefined

Make = Callable[..., dict[str, Any]]
EVERY: list[list[int | None]] = [[None, 0, 0], [90, 30, 20], [80, 70, 25], [60, 75, 50]]
ZERO = np.zeros(1, np.int64)
PREDICTED = Predictions(ZERO, ZERO, ZERO, {"cil_seen": np.zeros((3, 1), np.int64)}, {})


def before(make: Make, table: list[list[int | None]], **changes: Any) -> dict[str, Any]:
    """A result whose first row was evaluated before any training."""
    rows = [{"event": i, "task": i - 1 if i else None, "split": "test"} for i in range(len(table))]
    result: dict[str, Any] = make(table, result__rows=rows, **changes)["result"]
    return result


@pytest.mark.parametrize(
    ("name", "rule", "setting", "words"),
    [
        ("FWT", "cil_seen", "class-incremental", "a class-incremental head has no rows for classes before their task"),
        ("FWT", "til_masked", "class-incremental", "not evaluated before its training; set stream.evaluate_on=all"),
        ("DR_FWT", "cil_seen", "class-incremental", "set stream.evaluate_on=all"),
        ("I_mean", "cil_seen", "class-incremental", "clbench metrics RUN --reference JOINT_RUN"),
        ("F_local_rf", "cil_seen", "class-incremental", "no prediction rule that is told the task"),
        ("A_auc", "cil_seen", "online class-incremental", "no periodic evaluations; set stream.evaluate_every"),
        ("WC_ACC", "cil_seen", "online class-incremental", "between the ends of tasks; set stream.evaluate_every"),
        ("A_macro", "cil_seen", "class-incremental", "does not hold correct answers per class"),
        ("NFR", "cil_seen", "class-incremental", "no predictions.npz"),
        ("ECE", "cil_seen", "class-incremental", "--save-scores"),
        ("A_base", "cil_seen", "class-incremental", "a metric of few-shot"),
    ],
)
def test_what_was_not_measured(make_record: Make, name: str, rule: str, setting: str, words: str) -> None:
    result = make_record(rules=(rule,), result__stream__setting=setting)["result"]
    assert words in why_undefined(result, rule, name)


def test_a_method_without_an_answer_before_its_first_task(make_record: Make) -> None:
    nothing: list[list[int | None]] = [[None] * 3, *EVERY[1:]]
    told = before(make_record, nothing, rules=("til_masked",))
    assert why_undefined(told, "til_masked", "FWT") == "the method cannot predict before it learned a task"
    task = before(make_record, nothing, rules=("til_oracle",), result__stream__setting="task-incremental")
    assert why_undefined(task, "til_oracle", "FWT") == "the method has no head for a task before it learns the task"


def test_one_task_and_a_joint_run(make_record: Make) -> None:
    one = make_record([[9]])["result"]
    assert why_undefined(one, "cil_seen", "BWT") == "no task was learned before the last step"
    joint = make_record([[None] * 3, [None] * 3, [1, 2, 3]], result__strategy__access="past")["result"]
    assert "trained jointly itself" in why_undefined(joint, "cil_seen", "I_mean")
    assert why_undefined(joint, "cil_seen", "BWT") == "an evaluation that it needs is missing"
    several = make_record()["result"]
    assert "run with form=oracle" in why_undefined(several, "cil_seen", "I_mean", reference=True)
    assert why_undefined(make_record([], result__rows=[])["result"], "cil_seen", "BWT") == "no task was evaluated yet"


def test_every_undefined_metric_has_a_reason_and_stored_predictions_change_it(make_record: Make) -> None:
    result = make_record()["result"]
    undefined = [name for name, value in metrics_of(result)["cil_seen"].items() if value is None]
    assert all(why_undefined(result, "cil_seen", name) for name in undefined) and "FWT" in undefined
    assert "--save-scores" in why_undefined(result, "cil_seen", "NLL", predictions=PREDICTED)
    assert set(undefined) <= set(METRICS)


def test_a_run_on_several_classes_per_image_has_no_answers_to_count(make_record: Make) -> None:
    nothing: list[list[int | None]] = [[None] * 3] * 3
    ranked = {"cil_seen": [[0.5, None, None], [0.4, 0.6, None], [0.3, 0.5, 0.7]]}
    result = make_record(nothing, result__mean_precision=ranked)["result"]
    found = metrics_of(result)["cil_seen"]
    assert found["A_last_task"] == pytest.approx(0.5) and found["A_last_sample"] is None
    for name in ("A_last_sample", "A_inc_sample_pilot", "A_macro", "F1_macro", "top5"):
        assert "may have several classes, so no answers are counted" in why_undefined(result, "cil_seen", name)
    assert "several classes" not in why_undefined(result, "cil_seen", "FWT")
    mixed = make_record([[None, None, None], [None, 6, None], [None, 5, 4]], result__mean_precision=ranked)["result"]
    assert "several classes" not in why_undefined(mixed, "cil_seen", "A_inc_sample_excl_first")
