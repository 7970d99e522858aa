"""A joint run as the reference: intransigence, Omega, and runs that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cl.errors import UsageError
from cl.records.matrix import AccuracyMatrix
from cl.records.metrics import metrics_of
from cl.records.reference import check_reference, offline_of, reference_of

Make = Callable[..., dict[str, Any]]
EACH: list[list[int | None]] = [[95, None, None], [90, 85, None], [80, 82, 75]]
ONCE: list[list[int | None]] = [[None] * 3, [None] * 3, [80, 82, 75]]


def joint(make: Make, table: list[list[int | None]], **changes: Any) -> dict[str, Any]:
    return make(table, strategy="joint", result__strategy__access="past", **changes)


def test_a_joint_model_of_every_step(make_record: Make) -> None:
    run, reference = make_record()["result"], joint(make_record, EACH)["result"]
    got = metrics_of(run, reference=reference)["cil_seen"]
    assert got["I_mean"] == pytest.approx((0.05 + 0.15 + 0.25) / 3)
    assert got["I_last"] == pytest.approx(0.25)
    assert got["Omega_base"] == pytest.approx((0.8 + 0.6) / 2 / 0.8)
    assert got["Omega_all"] == pytest.approx((0.75 / 0.875 + (185 / 300) / (237 / 300)) / 2)
    assert metrics_of(run)["cil_seen"]["I_mean"] is None


@pytest.mark.parametrize("table", [ONCE, ONCE[-1:]], ids=["all rows", "last row"])
def test_a_joint_model_of_the_last_step_only(table: list[list[int | None]]) -> None:
    matrix = AccuracyMatrix.of([[90, None, None], [80, 70, None], [60, 75, 50]], [100] * 3)
    once = AccuracyMatrix.of(table, [100] * 3, learned=[max(i + len(table) - 3, 0) for i in range(3)])
    np.testing.assert_allclose(reference_of(matrix, once), [np.nan, np.nan, 0.75])
    offline = offline_of(matrix, once)
    assert offline is not None and offline.base == 0.8
    np.testing.assert_allclose(offline.seen, [237 / 300] * 3)
    assert offline_of(matrix, AccuracyMatrix.of([], [100] * 3)) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"result__strategy__access": "present"}, "is not trained jointly"),
        ({"seed": 1}, "order seed"),
        ({"result__stream__name": "other"}, "stream"),
        ({"result__stream__id": "another"}, "class order"),
        ({"result__backbone__name": "vit"}, "backbone"),
        ({"result__backbone__weights_sha256": "e" * 64}, "weights"),
    ],
)
def test_a_reference_that_does_not_fit_is_named(make_record: Make, changes: dict[str, Any], words: str) -> None:
    given = {"result__strategy__access": "past", **changes}
    reference = make_record(EACH, strategy="joint", **given)["result"]
    with pytest.raises(UsageError, match=words):
        check_reference(make_record()["result"], reference)


def test_a_reference_that_fits(make_record: Make) -> None:
    check_reference(make_record()["result"], joint(make_record, EACH)["result"])


@pytest.mark.parametrize("tasks", [1, 2])
def test_a_reference_of_other_tasks_gives_no_value(make_record: Make, tasks: int) -> None:
    """A model of all tasks is no upper bound of a run that ended earlier: its accuracy on the last task is another."""
    part = [[90, None, None], [80, 70, None]][:tasks]
    run, reference = make_record(part)["result"], joint(make_record, EACH)["result"]
    got = metrics_of(run, reference=reference)["cil_seen"]
    assert {name: got[name] for name in ("I_mean", "I_last", "Omega_base", "Omega_all")} == dict.fromkeys(
        ("I_mean", "I_last", "Omega_base", "Omega_all")
    )
    with pytest.raises(UsageError, match=f"ends with task 3 and the run with task {tasks}; give a joint run"):
        check_reference(run, reference)
    check_reference(run, joint(make_record, EACH[:tasks])["result"])
