"""Metrics: the worked example, the identities between them, and what happens where there is too little to compute."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cl.records.formulas import forgetting_per_group
from cl.records.matrix import ALWAYS, AccuracyMatrix, matrix_of
from cl.records.metrics import METRICS, compute_all, metrics_of

WORKED: list[list[int | None]] = [[90, None, None], [80, 70, None], [60, 75, 50]]
IDS = {
    *("A_last_task", "A_last_sample", "A_inc_task", "A_inc_sample", "A_inc_task_excl_first", "A_inc_sample_excl_first"),
    *("A_inc_sample_pilot", "F_chaudhry", "F_max_all", "F_avalanche", "F_stepwise", "F_global_rf", "F_local_rf"),
    *("BWT", "FWT", "LA", "I_mean", "I_last", "plasticity", "stability"),
}


@st.composite
def matrices(draw: st.DrawFn, *, equal: bool = False, full: bool = False, least: int = 2) -> AccuracyMatrix:
    """Complete lower-triangular (or full) matrices, T from `least` to 6."""
    steps = draw(st.integers(least, 6))
    one = draw(st.integers(1, 40))
    count = [one if equal else draw(st.integers(1, 40)) for _ in range(steps)]
    correct = [
        [draw(st.integers(0, count[group])) if full or group <= step else None for group in range(steps)]
        for step in range(steps)
    ]
    sizes = [draw(st.integers(1, 20)) for _ in range(steps)]
    return AccuracyMatrix.of(correct, count, sizes=sizes)


def values(matrix: AccuracyMatrix, **extra: Any) -> dict[str, float]:
    """Metrics, those that are defined."""
    return {name: value for name, value in compute_all(matrix, **extra).items() if value is not None}


def test_every_metric_has_one_name_a_formula_and_a_source() -> None:
    assert set(METRICS) == IDS | {"A_base", "A_novel", "A_harmonic", "PD", "A_auc", "E_own"}
    assert all(metric.title and metric.formula and metric.source for metric in METRICS.values())
    assert all(name == metric.id for name, metric in METRICS.items())
    lower = {name for name, metric in METRICS.items() if not metric.higher_is_better}
    assert lower == {
        "F_chaudhry",
        "F_max_all",
        "F_avalanche",
        "F_stepwise",
        "F_global_rf",
        "I_mean",
        "I_last",
        "PD",
        "E_own",
    }


def test_worked_example_of_the_sheet() -> None:
    matrix = AccuracyMatrix.of(WORKED, [100] * 3)
    got = compute_all(matrix, baseline=[0.5, 0.5, 0.5], reference=[0.9, 0.8, 0.6], local=matrix)
    # By hand; drops: step 2 (90-80)=10, step 3 ((80-60)+(70-75))/2=7.5; weights of F_global_rf: 1/2, then 1/3 each.
    want = {
        "A_last_task": 185 / 3,
        "A_last_sample": 185 / 3,
        "A_inc_task": (90 + 75 + 185 / 3) / 3,
        "A_inc_sample": (90 + 75 + 185 / 3) / 3,
        "A_inc_task_excl_first": (75 + 185 / 3) / 2,
        "A_inc_sample_excl_first": (75 + 185 / 3) / 2,
        "A_inc_sample_pilot": (90 + 75 + 61.67) / 3,
        "F_chaudhry": 12.5,
        "F_max_all": 15.0,
        "F_avalanche": 12.5,
        "F_stepwise": (10 + 7.5) / 2,
        "F_global_rf": (10 / 2 + (30 - 5) / 3) / 2,
        "F_local_rf": -12.5,
        "BWT": -12.5,
        "LA": 70.0,
        "I_mean": (0 + 10 + 10) / 3,
        "I_last": 10.0,
        "plasticity": 70.0,
        "stability": 67.5,
    }
    assert got.pop("FWT") is None  # the upper triangle was not measured
    assert got == pytest.approx({name: value / 100 for name, value in want.items()}, abs=1e-12)
    np.testing.assert_allclose(forgetting_per_group(matrix), [0.3, -0.05, np.nan])


def test_forward_transfer_uses_the_step_before_each_task() -> None:
    matrix = AccuracyMatrix.of([[90, 30, 10], [80, 70, 50], [60, 75, 50]], [100] * 3)
    assert compute_all(matrix, baseline=[0.1, 0.2, 0.3])["FWT"] == pytest.approx(((0.3 - 0.2) + (0.5 - 0.3)) / 2)
    assert compute_all(matrix, baseline=[None, 0.2, 0.3])["FWT"] == pytest.approx(0.15)
    assert compute_all(matrix, baseline=[0.1, None, 0.3])["FWT"] is None
    assert compute_all(matrix)["FWT"] is None


def test_unequal_counts_tell_task_and_sample_variants_apart() -> None:
    got = values(AccuracyMatrix.of([[9, None], [9, 30]], [10, 90]))
    assert got["A_last_task"] == pytest.approx((0.9 + 1 / 3) / 2)
    assert got["A_last_sample"] == pytest.approx(39 / 100)


def test_later_groups_do_not_enter_the_accuracy_at_a_step() -> None:
    full = AccuracyMatrix.of([[90, 30, 10], [80, 70, 50], [60, 75, 50]], [100] * 3)
    assert values(full)["A_inc_task"] == values(AccuracyMatrix.of(WORKED, [100] * 3))["A_inc_task"]


def test_one_task_leaves_forgetting_and_transfer_undefined() -> None:
    matrix = AccuracyMatrix.of([[8]], [10])
    got = values(matrix, baseline=[0.1], reference=[0.9], local=matrix)
    assert got == pytest.approx(
        {
            **dict.fromkeys(("A_last_task", "A_last_sample", "A_inc_task", "A_inc_sample", "A_inc_sample_pilot"), 0.8),
            **dict.fromkeys(("LA", "plasticity"), 0.8),
            **dict.fromkeys(("I_mean", "I_last"), 0.1),
        }
    )


def test_only_the_last_row_as_after_joint_training() -> None:
    nothing = [None] * 3
    got = values(AccuracyMatrix.of([nothing, nothing, [60, 75, 50]], [100] * 3), reference=[0.9, None, 0.6])
    want = {"A_last_task": 185 / 300, "A_last_sample": 185 / 300, "stability": 0.675, "I_last": 0.1}
    assert got == pytest.approx(want)


def test_a_missing_middle_row_makes_the_maximum_unknown() -> None:
    matrix = AccuracyMatrix.of([[90, None, None], [None, None, None], [60, 75, 50]], [100] * 3)
    got = values(matrix)
    assert set(got) == {"A_last_task", "A_last_sample", "stability"}
    assert np.isnan(forgetting_per_group(matrix)).all()


def test_missing_last_row_and_no_row_at_all() -> None:
    assert set(values(AccuracyMatrix.of([[9, None], [None, None]], [10, 10]))) == set()
    empty = AccuracyMatrix.of([], [10, 10])
    assert values(empty, baseline=[0.1, 0.1], reference=[0.1, 0.1], local=empty) == {}
    assert values(AccuracyMatrix.of([[0]], [0])) == {}  # a group without images has no accuracy


def test_groups_that_no_step_completes_count_in_averages_only() -> None:
    got = values(AccuracyMatrix.of([[5], [6], [7]], [10], learned=[ALWAYS]))
    want = {"A_last_task": 0.7, "A_inc_task": 0.6, "A_inc_task_excl_first": 0.65}
    assert got == pytest.approx(
        {**want, **{k.replace("task", "sample"): v for k, v in want.items()}, "A_inc_sample_pilot": 0.6}
    )


def test_pilot_rounds_each_accuracy_before_averaging() -> None:
    got = values(AccuracyMatrix.of([[1, None], [1, 1]], [3, 4]))
    assert got["A_inc_sample_pilot"] == pytest.approx((33.33 + 28.57) / 200, abs=1e-12)
    assert got["A_inc_sample"] == pytest.approx((1 / 3 + 2 / 7) / 2)


def test_global_forgetting_weighs_tasks_by_their_classes() -> None:
    got = values(AccuracyMatrix.of([[10, None], [5, 5]], [10, 10], sizes=[50, 10]))
    assert got["F_global_rf"] == pytest.approx(50 / 60 * 0.5)


@pytest.mark.parametrize("wrong", [{"baseline": [0.1]}, {"reference": [0.1] * 3}])
def test_extra_inputs_of_the_wrong_length_are_refused(wrong: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="one per group"):
        compute_all(AccuracyMatrix.of([[9, None], [9, 3]], [10, 10]), **wrong)  # type: ignore[arg-type]


def test_ragged_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="2 entries"):
        AccuracyMatrix.of([[1, 2], [1]], [3, 3])
    with pytest.raises(ValueError, match="2 entries"):
        AccuracyMatrix.of([[1, 2]], [3, 3], learned=[0])


@settings(deadline=None, max_examples=60)
@given(matrices())
def test_identities(matrix: AccuracyMatrix) -> None:
    got = values(matrix, local=matrix)
    steps = matrix.steps
    assert got["A_last_task"] == pytest.approx(got["LA"] + (steps - 1) / steps * got["BWT"], abs=1e-12)
    assert got["BWT"] == -got["F_avalanche"] == got["F_local_rf"]
    assert got["F_chaudhry"] >= -got["BWT"] - 1e-12
    assert got["F_max_all"] >= max(0.0, got["F_chaudhry"]) - 1e-12
    assert got["A_last_task"] == pytest.approx(((steps - 1) * got["stability"] + matrix.accuracy[-1, -1]) / steps)
    if steps == 2:
        assert got["F_stepwise"] == pytest.approx(got["F_avalanche"])


@settings(deadline=None, max_examples=60)
@given(matrices(least=1), st.integers(2, 5))
def test_values_are_finite_fractions_and_do_not_depend_on_the_unit_of_counts(
    matrix: AccuracyMatrix, factor: int
) -> None:
    got = values(matrix, reference=[0.5] * matrix.steps, local=matrix)
    bigger = AccuracyMatrix.of(matrix.correct * factor, matrix.count * factor, matrix.learned, matrix.sizes)
    assert values(bigger, reference=[0.5] * matrix.steps, local=bigger) == pytest.approx(got, abs=1e-12)
    assert all(math.isfinite(value) and METRICS[name].lowest <= value <= 1 for name, value in got.items())
    assert all(0 <= got[name] <= 1 for name in got if name[:2] in ("A_", "LA"))


@settings(deadline=None, max_examples=60)
@given(matrices(equal=True))
def test_equal_counts_make_task_and_sample_variants_equal(matrix: AccuracyMatrix) -> None:
    got = values(matrix)
    for name in ("A_last_{}", "A_inc_{}", "A_inc_{}_excl_first"):
        assert got[name.format("task")] == pytest.approx(got[name.format("sample")], abs=1e-12)
    assert got["A_inc_sample_pilot"] == pytest.approx(got["A_inc_sample"], abs=5.1e-5)


@settings(deadline=None, max_examples=60)
@given(matrices(full=True), st.randoms(use_true_random=False))
def test_the_order_of_columns_does_not_matter(matrix: AccuracyMatrix, random: Any) -> None:
    order = list(range(matrix.steps))
    random.shuffle(order)
    moved = AccuracyMatrix.of(matrix.correct[:, order], matrix.count[order], matrix.learned[order], matrix.sizes[order])
    base = np.linspace(0, 1, matrix.steps)
    want = values(matrix, baseline=base, reference=base, local=matrix)
    assert set(want) == IDS
    assert values(moved, baseline=base[order], reference=base[order], local=moved) == pytest.approx(want, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(matrices())
def test_formulas_against_plain_loops(matrix: AccuracyMatrix) -> None:
    r, last = matrix.accuracy, matrix.steps - 1
    stepwise = sum(sum(r[t - 1, i] - r[t, i] for i in range(t)) / t for t in range(1, last + 1)) / last
    chaudhry = sum(max(r[step, i] for step in range(i, last)) - r[last, i] for i in range(last)) / last
    sizes = matrix.sizes
    global_rf = sum(
        sum(sizes[i] / sizes[: t + 1].sum() * (r[i, i] - r[t, i]) for i in range(t)) for t in range(1, last + 1)
    )
    got = values(matrix)
    assert got["F_stepwise"] == pytest.approx(stepwise, abs=1e-12)
    assert got["F_chaudhry"] == pytest.approx(chaudhry, abs=1e-12)
    assert got["F_global_rf"] == pytest.approx(global_rf / last, abs=1e-12)


def result_of(
    correct: list[Any], rows: list[tuple[int | None, str]], own: list[int | None], **more: Any
) -> dict[str, Any]:
    groups = [{"name": str(i), "classes": [i], "task": task} for i, task in enumerate(own)]
    stream = {"n_tasks": more.pop("n_tasks", len(own)), "groups": groups}
    places = [{"event": i, "task": task, "split": split} for i, (task, split) in enumerate(rows)]
    accuracy = {rule: {"correct": table} for rule, table in more.pop("rules", {"cil_seen": correct}).items()}
    return {"stream": stream, "rows": places, "accuracy": accuracy, "count": [10] * len(own), **more}


def test_the_last_row_after_each_task_on_one_split_counts() -> None:
    rows: list[tuple[int | None, str]] = [(0, "test"), (0, "test"), (0, "val"), (1, "test")]
    correct = [[1, None], [8, None], [3, None], [6, 9]]
    result = result_of(correct, rows, [0, 1], split_count={"val": [4, 4]})
    np.testing.assert_array_equal(matrix_of(result, "cil_seen").correct, [[8, np.nan], [6, 9]])
    np.testing.assert_array_equal(matrix_of(result, "cil_seen", "val").accuracy, [[0.75, np.nan]])


def test_groups_belong_to_the_first_evaluation_after_they_were_learned() -> None:
    correct = [[8, 7, None, None], [6, 9, 5, 2]]
    result = result_of(correct, [(1, "test"), (3, "test")], [0, 1, 2, 5], n_tasks=6)
    matrix = matrix_of(result, "cil_seen")
    np.testing.assert_array_equal(matrix.learned, [0, 0, 1, 2])
    # The group of task 5 is not learned yet: it enters nothing.
    assert values(matrix)["A_last_task"] == pytest.approx((6 + 9 + 5) / 30)
    assert values(matrix)["BWT"] == pytest.approx((-2 + 2) / 20)


@pytest.mark.parametrize(("n_tasks", "learned"), [(2, [0, 1]), (5, [ALWAYS, ALWAYS])])
def test_groups_without_a_task(n_tasks: int, learned: list[int]) -> None:
    result = result_of([[8, 1], [6, 9]], [(0, "test"), (1, "test")], [None, None], n_tasks=n_tasks)
    np.testing.assert_array_equal(matrix_of(result, "cil_seen").learned, learned)


@pytest.mark.parametrize("before", [None, -1])
def test_metrics_of_takes_baseline_and_local_matrix_from_the_result(before: int | None) -> None:
    rows: list[tuple[int | None, str]] = [(before, "test"), (0, "test"), (1, "test")]
    rules = {"cil_seen": [[1, 2], [8, 3], [4, 7]], "til_masked": [[5, 5], [9, 5], [8, 9]]}
    got = metrics_of(result_of([], rows, [0, 1], rules=rules))
    assert got["cil_seen"]["FWT"] == pytest.approx(0.1)
    assert got["cil_seen"]["BWT"] == pytest.approx(-0.4)
    assert got["cil_seen"]["F_local_rf"] == got["til_masked"]["BWT"] == pytest.approx(-0.1)
    assert got["cil_seen"]["I_last"] is None
    alone = metrics_of(result_of(rules["cil_seen"], rows, [0, 1]))
    assert alone["cil_seen"]["F_local_rf"] is None
