"""Metrics against the values of official code and of the papers' formulas.

Sources: aimagelab/mammoth @ e75a491c69fd, GT-RIPL/CODA-Prompt @ 6417d4f68754, Avalanche 0.6.0,
sun-hailong/LAMDA-PILOT @ 264745534fc2, mmasana/FACIL @ e09d2c83320a, tdemin16/Continual-LayerNorm-Tuning @
5cc3b78375d0, naver-ai/i-Blurry @ 4446d95effcc; the formulas of Chaudhry et al., Diaz-Rodriguez et al., Kemker et al.,
De Lange et al., NEVIS'22.
"""

from __future__ import annotations

import numpy as np
import pytest

from cl.records.matrix import AccuracyMatrix, Offline
from cl.records.metrics import METRICS
from tests.help.oracles import Oracle, names

OURS = {
    "mammoth.forgetting": "F_max_all",
    "mammoth.backward_transfer": "BWT",
    "mammoth.forward_transfer": "FWT",
    "coda.calc_forgetting": "F_stepwise",
    "facil.forg_last_mean": "F_chaudhry",
    "facil.avg_accs_last": "A_last_task",
    "facil.avg_accs_mean": "A_inc_task",
    "facil.forg_with_early_rows": "F_chaudhry",
    "avalanche.forgetting": "F_avalanche",
    "avalanche.bwt": "BWT",
    "pilot.average_accuracy": "A_inc_sample_pilot",
    "pilot.last": "A_last_sample_pilot",
    "layernorm.forgetting": "F_max_all",
    "layernorm.backward": "BWT",
    "chaudhry.intransigence_last": "I_last",
    "chaudhry.intransigence_mean": "I_mean",
    "diaz.A": "DR_A",
    "diaz.BWT": "DR_BWT",
    "diaz.REM": "DR_REM",
    "diaz.BWT+": "DR_BWT_plus",
    "diaz.FWT": "DR_FWT",
    "kemker.omega_base": "Omega_base",
    "kemker.omega_new": "Omega_new",
    "kemker.omega_all": "Omega_all",
    "delange.min_acc": "min_ACC",
    "delange.wc_acc": "WC_ACC",
    "iblurry.F_last": "F_class",
    "nevis.mean_own_error": "E_own",
}
"""Metric of the oracle -> our metric."""

TRIANGLE = ("facil.forg_last_mean", "mammoth.forgetting", "layernorm.forgetting")
"""Code that reads the lower triangle only."""


def value_of(oracle: Oracle, number: int, theirs: str) -> float:
    correct = oracle.arrays[f"correct/{number}"].astype(np.float64)
    correct[correct < 0] = np.nan
    if theirs in TRIANGLE:
        correct[np.triu_indices(len(correct), 1)] = np.nan
    ideal = float(oracle.arrays[f"ideal/{number}"])
    matrix = AccuracyMatrix.of(correct, oracle.arrays[f"count/{number}"])
    inputs = {
        "baseline": oracle.arrays[f"baseline/{number}"],
        "reference": oracle.arrays[f"reference/{number}"],
        "offline": Offline(ideal, np.full(len(correct), ideal)),
        "continual": matrix,
        "classes": matrix,
    }
    metric = METRICS[OURS[theirs]]
    return metric.compute(matrix, **{need: inputs[need] for need in metric.needs})


@pytest.mark.parametrize("name", names("metrics"))
def test_the_oracle_has_no_other_metrics(name: str) -> None:
    assert {key.removeprefix("value/") for key in Oracle(name).arrays if key.startswith("value/")} == set(OURS)


@pytest.mark.parametrize("theirs", OURS)
@pytest.mark.parametrize("name", names("metrics"))
def test_metric_of_official_code(name: str, theirs: str) -> None:
    oracle = Oracle(name)
    want = oracle.arrays[f"value/{theirs}"]
    defined = np.flatnonzero(~np.isnan(want))
    got = np.array([value_of(oracle, int(number), theirs) for number in defined])
    assert len(defined) >= 20
    oracle.compare("forward", got, want[defined])
