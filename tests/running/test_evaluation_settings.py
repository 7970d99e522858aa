"""Task- and domain-incremental streams through the loop: which rules answer, and what is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.records.matrix import matrix_of
from cl.strategies.ewc import EWC
from cl.strategies.finetune import Finetune
from cl.strategies.l2 import L2
from cl.strategies.linear_probe import LinearProbe
from cl.strategies.mos import MOS
from cl.strategies.pred_kd import PredKD
from cl.strategies.replay import Replay
from cl.strategies.simplecil import SimpleCIL
from cl.strategies.wsn import WSN
from tests.conftest import make, run
from tests.help.digit_parts import HIGH, LOW, SAME, digits


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))


def test_where_the_task_is_told_one_rule_answers_within_the_task(tmp_path: Path) -> None:
    stream = digits("task-incremental", LOW, HIGH)
    record = run(make(LinearProbe, epochs=2), stream, tmp_path)
    result = record["result"]
    assert list(result["accuracy"]) == ["til_oracle"] and result["stream"]["setting"] == "task-incremental"
    assert result["rows"][0]["task"] == 0 and [row["event"] for row in result["rows"]] == [1, 3]
    assert result["accuracy"]["til_oracle"]["correct"][0][1] is None, "another task is not tested yet"
    matrix = matrix_of(result, "til_oracle")
    assert matrix.learned.tolist() == [0, 1] and matrix.count.tolist() == [12, 8]
    values = result["metrics"]["til_oracle"]
    assert values["LA"] == pytest.approx(np.mean([matrix.accuracy[0, 0], matrix.accuracy[1, 1]]))
    with np.load(tmp_path / "predictions.npz") as found:
        assert set(found["prediction/til_oracle"][0, :12]) <= {0, 1, 2}
        assert set(found["prediction/til_oracle"][1, 12:]) <= {3, 4}


def test_dev_test_has_the_numbers_of_a_run_that_develops(tmp_path: Path) -> None:
    stream = digits("task-incremental", LOW, HIGH, splits="nevis-halves", split="dev_test", test_per_class=3)
    result = run(make(SimpleCIL), stream, tmp_path)["result"]
    assert {row["split"] for row in result["rows"]} == {"dev_test"} and result["split_count"] == {"dev_test": [9, 6]}
    assert matrix_of(result, "til_oracle").count.tolist() == [9, 6]
    assert result["metrics"]["til_oracle"]["LA"] is not None
    with np.load(tmp_path / "predictions.npz") as found:
        assert found["prediction/til_oracle"].shape == (2, 15)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (Finetune, {"epochs": 1}),
        (LinearProbe, {"epochs": 1}),
        (Replay, {"epochs": 1, "memory_size": 6}),
        (EWC, {"epochs": 1}),
        (L2, {"epochs": 1}),
        (SimpleCIL, {}),
    ],
)
def test_domains_are_learned_one_after_the_other(method: Any, options: dict[str, Any], tmp_path: Path) -> None:
    stream = digits("domain-incremental", LOW, SAME)
    assert method.supports("domain-incremental", method.Options(**options))
    result = run(make(method, **options), stream, tmp_path)["result"]
    assert list(result["accuracy"]) == ["dil"]
    matrix = matrix_of(result, "dil")
    assert matrix.learned.tolist() == [0, 1] and matrix.count.tolist() == [12, 12]
    assert np.isnan(matrix.accuracy[0, 1]) and not np.isnan(matrix.accuracy[1]).any()
    assert result["metrics"]["dil"]["F_chaudhry"] is not None


def test_all_are_right_where_the_task_is_told() -> None:
    for method in (MOS, WSN, PredKD, EWC, SimpleCIL):
        assert method.supports("task-incremental", method.Options())
