"""The probe of a record, and the metrics that come from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cl.errors import ContractError
from cl.records.metrics import METRICS, metrics_of, recorded_metrics
from cl.records.probe import probe_of
from cl.records.reasons import why_undefined
from cl.records.record import result_sha256, validate
from cl.records.structure import canonical, conforms
from tests.help.records import build_probe

Make = Callable[..., dict[str, Any]]
OWN = ("F_pretraining", "F_pretraining_mean", "A_probe")


EVERY = build_probe([120, 110, 130, 90], [100, 90, 80, 70])


def test_forgetting_is_before_minus_after(make_record: Make) -> None:
    result = make_record(result__probe=EVERY)["result"]
    curve = probe_of(result)
    assert curve is not None and curve.before == 0.6
    assert curve.forgetting == pytest.approx([0.05, -0.05, 0.15])
    got = metrics_of(result)["cil_seen"]
    assert [got[name] for name in OWN] == pytest.approx([0.15, 0.15, 0.45])
    assert {name: METRICS[name].recorded for name in OWN} == dict.fromkeys(OWN, False)
    assert recorded_metrics(result) == recorded_metrics(make_record()["result"]), "records keep the metrics they had"


def test_a_probe_after_the_last_task_alone(make_record: Make) -> None:
    result = make_record(result__probe=build_probe([120, 90], [100, 70], [None, 2]))["result"]
    curve = probe_of(result)
    assert curve is not None and np.isnan(curve.after[:2]).all() and curve.after[2] == 0.45
    assert metrics_of(result)["cil_seen"]["F_pretraining"] == pytest.approx(0.15)
    cut = make_record(result__probe=build_probe([120, 90], [100, 70], [None, 1]))["result"]
    assert metrics_of(cut)["cil_seen"]["F_pretraining"] is None
    assert why_undefined(cut, "cil_seen", "F_pretraining") == "the probe was not measured after the last step"


def test_a_run_without_a_probe_says_how_to_get_one(make_record: Make) -> None:
    result = make_record()["result"]
    assert probe_of(result) is None and [metrics_of(result)["cil_seen"][name] for name in OWN] == [None] * 3
    assert why_undefined(result, "cil_seen", "F_pretraining") == (
        "the run has no probe; run it with --probe tinyimagenet_60"
    )
    assert probe_of(make_record(result__probe=build_probe([], [], []))["result"]) is None, (
        "it ended before its first one"
    )


@pytest.mark.parametrize("key", ["ridge", "nearest_mean"])
def test_more_right_answers_than_images_are_refused(make_record: Make, key: str) -> None:
    record = make_record(result__probe=EVERY)
    validate(record)
    assert conforms(record, canonical(record["result"]))
    record["result"]["probe"] = {**EVERY, "rows": [{**EVERY["rows"][0], key: 201}]}
    record["result_sha256"] = result_sha256(record["result"])
    with pytest.raises(ContractError, match=r"result\.probe\.rows\[0\]: 201 right answers among 200 images"):
        validate(record)
    assert not conforms(record, canonical(record["result"]))


@pytest.mark.parametrize("change", [{"rows": [{}]}, {"test": 0}, {"classes": "20"}, {"extra": 1}, {"fingerprints": {}}])
def test_other_shapes_are_refused(make_record: Make, change: dict[str, Any]) -> None:
    record = make_record(result__probe={**EVERY, **change})
    with pytest.raises(ContractError, match=r"result\.probe"):
        validate(record)
    assert not conforms(record, canonical(record["result"]))
