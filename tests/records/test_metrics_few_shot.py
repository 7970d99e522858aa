"""Few-shot metrics by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from cl.protocol import FEW_SHOT
from cl.records.matrix import AccuracyMatrix
from cl.records.metrics import METRICS, compute_all, metrics_of
from cl.records.record import load, save
from tests.help.few_shot import COUNTS, IMAGES, few_shot_runs, runs

Make = Callable[..., dict[str, Any]]

NAMES = ("A_base", "A_novel", "A_harmonic", "PD")


def few(values: list[list[int | None]], count: list[int]) -> dict[str, float | None]:
    found = compute_all(AccuracyMatrix.of(values, count), setting=FEW_SHOT)
    return {name: found[name] for name in NAMES}


def test_worked_example() -> None:
    base, novel = 450 / 600, (15 + 25) / 100
    want = {
        "A_base": base,
        "A_novel": novel,
        "A_harmonic": 2 * base * novel / (base + novel),
        "PD": 540 / 600 - 490 / 700,
    }
    assert few(COUNTS, IMAGES) == pytest.approx(want)


def test_harmonic_mean_is_below_both_and_zero_without_one_of_them() -> None:
    found = few(COUNTS, IMAGES)
    assert all(value is not None for value in found.values())
    low, high = sorted((found["A_base"], found["A_novel"]))  # type: ignore[type-var]
    assert low < found["A_harmonic"] < high  # type: ignore[operator]
    assert few([[9, None], [9, 0]], [10, 10])["A_harmonic"] == 0
    assert few([[9, None], [0, 0]], [10, 10])["A_harmonic"] == 0
    assert few([[5, None], [6, 9]], [10, 10])["PD"] == pytest.approx(0.5 - 0.75)  # negative where it improves


def test_what_was_not_measured_is_undefined() -> None:
    assert few([[9]], [10]) == {"A_base": 0.9, "A_novel": None, "A_harmonic": None, "PD": None}
    assert few([[9, None], [None, 5]], [10, 10])["A_base"] is None
    assert few([[9, None, None], [9, 5, None]], [10, 10, 10])["A_novel"] == 0.5  # the third was not learned
    nothing = few([], [10, 10])
    assert set(nothing.values()) == {None}
    assert set(few([[0]], [0]).values()) == {None}


def test_only_records_of_few_shot_streams_hold_them(make_record: Make) -> None:
    plain, few_shot = runs(make_record, "a")[0]["result"], few_shot_runs(make_record, "a")[0]["result"]
    assert not set(NAMES) & set(metrics_of(plain)["cil_seen"])
    assert set(metrics_of(few_shot)["cil_seen"]) == set(metrics_of(plain)["cil_seen"]) | set(NAMES)
    assert all(METRICS[name].setting == FEW_SHOT for name in NAMES)
    assert not math.isnan(METRICS["PD"].lowest) and not METRICS["PD"].higher_is_better


def test_the_record_with_them_is_valid(make_record: Make, tmp_path: Any) -> None:
    record = few_shot_runs(make_record, "a")[0]
    save(record, tmp_path / "record.json")
    assert load(tmp_path / "record.json")["result"]["metrics"]["cil_seen"]["A_base"] == pytest.approx(0.75)
