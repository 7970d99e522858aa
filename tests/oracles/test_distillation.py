"""PredKD and FeatKD against Avalanche, Mammoth, PyCIL and the code of Smith et al.: whole trainings of two tasks."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import torch

from cl.plan.plan import make_plan
from cl.strategies.feat_kd import FeatKD
from cl.strategies.pred_kd import PredKD
from tests.help.oracles import Oracle, Replay, names, replay, rows
from tests.help.oracles_rest import first_rows, trained

Regularized = type[PredKD] | type[FeatKD]

METHODS: dict[str, tuple[Regularized, str]] = {
    "avalanche": (PredKD, "avalanche"),
    "mammoth": (PredKD, "lwf-mammoth"),
    "pycil": (PredKD, "lwf-pilot"),
    "smith-mc": (PredKD, "lwf-mc-2022"),
    "smith-balanced": (PredKD, "lwf-mc-2022"),
    "smith-feat": (FeatKD, "smith-2022"),
    "smith-feat-pred": (FeatKD, "smith-2022"),
}
"""The code of a file -> our method and the preset with its loss."""


def options(oracle: Oracle, preset: str, method: Regularized) -> dict[str, Any]:
    meta = oracle.meta
    found = asdict(make_plan("pred-kd" if method is PredKD else "feat-kd", "split-digits", preset=preset).options)
    found |= {"epochs": meta["epochs"], "batch_size": 4, "lr": meta["lr"], "momentum": meta["momentum"]}
    found |= {"augment": "none", "optimizer": "sgd", "schedule": "constant", "weight_decay": 0.0}
    found["feat_kd" if method is FeatKD else "pred_kd"] = meta["weight"]
    if not meta.get("distils_predictions", True):
        found["pred_kd"] = 0.0
    if method is FeatKD and not meta["first_task_has_the_feature_term"]:
        found["first_task"] = "skip"
    if meta["code"] == "smith-balanced":
        found["balanced_bce"] = True
    if "loss_scale" in meta:
        assert meta["code"] == "smith-balanced" or found["loss_scale"] == meta["loss_scale"]
        found["loss_scale"] = meta["loss_scale"]
    if "temperature" in found and not found["loss"].startswith("bce"):
        assert found["temperature"] == meta["temperature"]
    return found


@pytest.mark.parametrize("name", names("train-distil"))
def test_the_whole_training_ends_in_the_same_weights(name: str) -> None:
    oracle = Oracle(name)
    method, preset = METHODS[oracle.meta["code"]]
    done: list[int] = []

    def after(learner: Any, task: int) -> None:
        oracle.compare("training", trained(learner.backbone), trained(oracle, f"final/{task}/vit"))
        weights, biases = zip(*((block.weight, block.bias) for block in learner.head.blocks), strict=True)
        oracle.compare("training", torch.cat(weights), oracle.tensor(f"final/{task}/head_weight"))
        oracle.compare("training", torch.cat(biases), oracle.tensor(f"final/{task}/head_bias"))
        assert isinstance(learner.trainer, Replay)
        if oracle.meta["code"] != "avalanche" or task == 0:  # its later losses lack a constant of ours
            oracle.compare("loss", learner.trainer.losses[task, "train"], oracle.tensor(f"loss/{task}"))
        done.append(task)

    given = {"train": rows(oracle), "warm up": rows(oracle, "warm_up_batches")}
    replay(method, oracle, given, begin=first_rows(oracle), after=after, **options(oracle, preset, method))
    assert done == [0, 1]
