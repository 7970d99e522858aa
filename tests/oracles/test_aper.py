"""APER's first task against LAMDA-PILOT @2647455: the adapter and the cosine head, with the steps of its training.

RanPAC's phase 1 is the same training (`FirstSession`).
"""

from __future__ import annotations

from typing import Any

import pytest

from cl.strategies.aper import APER
from cl.strategies.ranpac import RanPAC
from tests.help.oracles import Oracle, names, replay, rows
from tests.help.oracles_tuned import as_many_steps, compare_adapters, fill


@pytest.mark.parametrize("method", [APER, RanPAC])
@pytest.mark.parametrize("name", names("train-aper"))
def test_the_first_task_ends_in_the_weights_of_the_code(name: str, method: type[APER] | type[RanPAC]) -> None:
    oracle = Oracle(name)
    meta, trainers = oracle.meta, []

    def begin(learner: Any, task: int, phase: str) -> None:
        fill(learner.module, oracle.group("init/0/adapter"))
        learner.head.weight.copy_(oracle.tensor("init/0/head_weight"))
        trainers.append(learner.trainer)

    options: dict[str, Any] = {} if method is APER else {"width": 20}
    learner: Any = replay(
        method, oracle, {"adaptation": as_many_steps(rows(oracle), {}, "adaptation")}, begin=begin,
        tuning="adapter", rank=meta["rank"], adapter_scale=meta["scale"], dropout=meta["dropout"], augment="none",
        epochs=meta["epochs"], batch_size=4, lr=meta["lr"], momentum=meta["momentum"],
        weight_decay=meta["weight_decay"], **options,
    )  # fmt: skip
    compare_adapters(oracle, "training", learner.module, "final/0/adapter")
    oracle.compare("training", learner.head.weight, oracle.tensor("final/0/head_weight"))
    oracle.compare("training", learner.head.scale, oracle.tensor("final/0/scale"))
    oracle.compare("loss", trainers[0].losses[0, "adaptation"], oracle.tensor("loss/0"))
