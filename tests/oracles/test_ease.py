"""EASE against CVPR24-Ease @6d67508 (prototypes) and LAMDA-PILOT @2647455 (scores, training)."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cl.parts.heads import SubspacePrototypes
from cl.strategies.ease import EASE
from tests.help.oracles import Oracle, names, replay, rows
from tests.help.oracles_tuned import as_many_steps, compare_adapters, fill


@pytest.mark.parametrize("kind", ["recalculated", "once"])
@pytest.mark.parametrize("name", names("ease-prototypes"))
def test_estimated_prototypes_and_scores(name: str, kind: str) -> None:
    oracle = Oracle(name)
    prototypes = SubspacePrototypes(oracle.meta["dim"])
    for task in range(oracle.meta["tasks"]):
        prototypes.add(oracle.tensor(f"real/{task}"), recalculate=kind == "recalculated")
        oracle.compare("forward", prototypes.values, oracle.tensor(f"{kind}/prototypes/{task}"))
    for alpha in oracle.meta["alphas"]:
        scores = prototypes.scores(oracle.tensor("features"), alpha)
        oracle.compare("forward", scores, oracle.tensor(f"{kind}/scores/{alpha}"))


@pytest.mark.parametrize("name", names("train-ease"))
def test_every_task_ends_in_the_weights_of_the_code(name: str) -> None:
    oracle = Oracle(name)
    meta, heads, trainers = oracle.meta, [], []

    def begin(learner: Any, task: int, phase: str) -> None:
        fill(learner.sets[-1], oracle.group(f"init/{task}/adapter")).dropout = meta["dropout"]
        learner.head.weight.copy_(oracle.tensor(f"init/{task}/head_weight"))
        heads.append(learner.head)
        trainers.append(learner.trainer)

    learner = replay(
        EASE, oracle, {"adapters": as_many_steps(rows(oracle), {}, "adapters")}, begin=begin, augment="none",
        rank=meta["rank"], epochs=meta["epochs"], batch_size=4, lr=meta["lr"], momentum=meta["momentum"],
        weight_decay=meta["weight_decay"],
    )  # fmt: skip
    assert len(learner.sets) == len(heads) == oracle.tasks
    for task, head in enumerate(heads):
        compare_adapters(oracle, "training", learner.sets[task], f"final/{task}/adapter")
        oracle.compare("training", head.weight, oracle.tensor(f"final/{task}/head_weight"))
        oracle.compare("training", head.scale, oracle.tensor(f"final/{task}/scale"))
        oracle.compare("loss", trainers[0].losses[task, "adapters"], oracle.tensor(f"loss/{task}"))


def test_the_optimiser_is_the_one_asked_for() -> None:
    oracle = Oracle(names("train-ease")[0])
    trainers = []

    def begin(learner: Any, task: int, phase: str) -> None:
        trainers.append(learner.trainer)

    replay(
        EASE, oracle, {}, begin=begin, augment="none", rank=2, epochs=1, lr=0.03, weight_decay=5e-3, optimizer="adam"
    )
    made = trainers[0].specs[0, "adapters"].optimizer([torch.nn.Parameter(torch.zeros(1))])
    assert type(made) is torch.optim.Adam
    assert (made.defaults["lr"], made.defaults["weight_decay"]) == (0.03, 5e-3)
