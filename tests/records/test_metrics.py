"""The metrics: names, formulas and sources; what they take from a result."""

from __future__ import annotations

import pytest

from cl.records.matrix import AccuracyMatrix
from cl.records.metric import INPUTS
from cl.records.metrics import METRICS, compute_all, metrics_of
from tests.help.matrices import result_of

IDS = {
    *("A_last_task", "A_last_sample", "A_inc_task", "A_inc_sample", "A_inc_task_excl_first", "A_inc_sample_excl_first"),
    *("A_inc_sample_pilot", "F_chaudhry", "F_max_all", "F_avalanche", "F_stepwise", "F_global_rf", "F_local_rf"),
    *("BWT", "FWT", "LA", "I_mean", "I_last", "plasticity", "stability"),
}

LATER = {
    *("A_last_sample_pilot", "A_macro", "F_class", "DR_A", "DR_BWT", "DR_REM", "DR_BWT_plus", "DR_FWT", "Omega_base"),
    *("Omega_new", "Omega_all", "min_ACC", "WC_ACC", "WF_10", "WP_10", "NFR", "PFR", "F1_macro", "top5", "ECE", "NLL"),
    *("F_pretraining", "F_pretraining_mean", "A_probe"),
}
"""Metrics that records do not hold."""


def test_every_metric_has_one_name_a_formula_and_a_source() -> None:
    recorded = {name for name, metric in METRICS.items() if metric.recorded}
    assert recorded == IDS | {"A_base", "A_novel", "A_harmonic", "PD", "A_auc", "E_own"}
    assert set(METRICS) == recorded | LATER
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
        *("F_class", "WF_10", "NFR", "ECE", "NLL", "F_pretraining", "F_pretraining_mean"),
    }
    assert all(need in INPUTS for metric in METRICS.values() for need in metric.needs)


@pytest.mark.parametrize("wrong", [{"baseline": [0.1]}, {"reference": [0.1] * 3}])
def test_extra_inputs_of_the_wrong_length_are_refused(wrong: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="one per group"):
        compute_all(AccuracyMatrix.of([[9, None], [9, 3]], [10, 10]), **wrong)  # type: ignore[arg-type]


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
