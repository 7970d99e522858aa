"""Devices that are not here: names, peaks, and the time of independent runs on several."""

from __future__ import annotations

import pytest

from cl.errors import UsageError
from cl.plan.devices import MODELS, device_models, makespan, peak


def test_names_are_known_in_any_case_and_once() -> None:
    assert device_models("h200, a100-80,H200") == ["H200", "A100-80"] and device_models("") == []
    with pytest.raises(UsageError, match="--device-model B300 is not known; choose among A100-40"):
        device_models("H200,B300")


def test_peaks_are_those_of_the_precision() -> None:
    assert peak("A100-80", "bf16") == 312e12 and peak("A100-80", "fp32") == 19.5e12
    assert all(model.fp32 > 0 and model.bf16 in (0, max(model.bf16, model.tf32)) for model in MODELS.values())
    with pytest.raises(UsageError, match="A T4 does not compute in bf16; choose --precision fp32"):
        peak("T4", "bf16")


def test_independent_runs_take_the_mean_load_or_the_longest_of_them() -> None:
    assert makespan([3, 3, 3, 3], 2) == 6 and makespan([9, 1, 1], 3) == 9 and makespan([], 4) == 0
