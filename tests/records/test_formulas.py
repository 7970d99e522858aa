"""Equations of the metrics: the worked example, the identities between them, and too little to compute."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cl.records.formulas import accuracy_shown, forgetting_per_group, global_rf, mean, once, stepwise
from cl.records.matrix import ALWAYS, AccuracyMatrix
from cl.records.metrics import METRICS, compute_all
from tests.help.matrices import RECORDED, values

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


def test_worked_example_of_the_sheet() -> None:
    matrix = AccuracyMatrix.of(WORKED, [100] * 3)
    got = compute_all(matrix, baseline=[0.5, 0.5, 0.5], reference=[0.9, 0.8, 0.6], local=matrix, names=RECORDED)
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


def test_mean_average_precision_counts_in_means_over_tasks_only() -> None:
    """The second of three groups has several classes per image."""
    correct = [[90, None, None], [80, None, None], [60, None, 50]]
    ranked: list[list[float | None]] = [[None] * 3, [None, 0.7, None], [None, 0.75, None]]
    found = compute_all(AccuracyMatrix.of(correct, [100] * 3, mean_precision=ranked), setting="task-incremental")
    assert found["A_last_task"] == pytest.approx((0.6 + 0.75 + 0.5) / 3)
    assert found["A_last_sample"] == pytest.approx((0.6 + 0.5) / 2)
    assert found["A_inc_sample"] == pytest.approx((0.9 + 0.8 + 0.55) / 3)
    assert found["LA"] == pytest.approx((0.9 + 0.7 + 0.5) / 3)
    assert found["E_own"] == pytest.approx(1 - (0.9 + 0.7 + 0.5) / 3)
    assert found["F_chaudhry"] == pytest.approx(((0.9 - 0.6) + (0.7 - 0.75)) / 2)
    assert found["BWT"] == pytest.approx(((0.6 - 0.9) + (0.75 - 0.7)) / 2)
    equal = AccuracyMatrix.of([[90, None, None], [80, 70, None], [60, 75, 50]], [100] * 3)
    same = compute_all(equal, setting="task-incremental")
    over_images = {"sample", "pilot"}
    for name, value in found.items():
        if not over_images & set(name.split("_")):
            assert value == (None if same[name] is None else pytest.approx(same[name])), name


def test_the_curve_that_is_shown_covers_all_groups() -> None:
    plain = AccuracyMatrix.of([[90, None], [80, 5]], [100, 10])
    assert accuracy_shown(plain).tolist() == pytest.approx([0.9, 85 / 110])
    ranked = AccuracyMatrix.of([[90, None], [80, None]], [100, 10], mean_precision=[[None, None], [None, 0.5]])
    assert accuracy_shown(ranked).tolist() == pytest.approx([0.9, 0.65])


def test_a_mean_has_the_bits_of_numpy() -> None:
    rng = np.random.default_rng(0)
    for size in (1, 2, 7, 8, 9, 100, 1000, 5000):
        table = rng.random((size, 3))
        assert mean(table[:, 1]) == np.mean(table[:, 1]) and mean(table) == np.mean(table)
    assert math.isnan(mean(np.array([]))) and math.isnan(mean(np.array([0.5, np.nan])))


def test_forgetting_by_step_has_the_bits_of_a_loop_over_masks() -> None:
    """Groups in any order, some learned at one step, some at none: the same groups in the same order."""
    rng = np.random.default_rng(1)
    for _ in range(30):
        steps, groups = int(rng.integers(0, 7)), 9
        correct = rng.integers(0, 8, size=(steps, groups)).astype(float)
        correct[rng.random(correct.shape) < 0.05] = np.nan
        learned, sizes = rng.integers(-1, steps + 2, size=groups), rng.integers(1, 20, size=groups)
        learned = np.arange(groups) if rng.random() < 0.3 else learned
        matrix = AccuracyMatrix.of(correct, rng.integers(8, 40, size=groups), learned, sizes)
        r, drops, terms = matrix.accuracy, [], []
        for step in range(1, steps):
            before = np.flatnonzero((learned >= 0) & (learned < step))
            if before.size:
                drops.append(np.mean(r[step - 1, before] - r[step, before]))
                known = sizes[(learned >= 0) & (learned <= step)].sum()
                terms.append(sizes[before] @ (r[learned[before], before] - r[step, before]) / known)
        for got, want in ((stepwise(matrix), drops), (global_rf(matrix), terms)):
            assert got == np.mean(want) if want and not np.isnan(want).any() else math.isnan(got)


def test_a_formula_is_computed_once_for_a_matrix() -> None:
    asked = []

    def formula(matrix: AccuracyMatrix) -> int:
        asked.append(matrix)
        return len(asked)

    kept = once(formula)
    one, two = (AccuracyMatrix.of([[1]], [2]) for _ in range(2))
    assert [kept(one), kept(one), kept(two), kept(one)] == [1, 1, 2, 1] and len(asked) == 2
