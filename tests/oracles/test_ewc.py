"""EWC against Avalanche, CLB, Mammoth, PyCIL and the code of Smith et al.: whole trainings of three tasks.

The Fisher information of each task and the weights after it. Each preset of `ewc` gives the way that one code computes
the Fisher information; rate, epochs and weight of the penalty come from the file.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor

from cl.plan.plan import make_plan
from cl.strategies.ewc import EWC
from tests.help.oracles import InOrder, Oracle, Replay, names, replay, rows
from tests.help.oracles_rest import first_rows, trained

SEPARATE = ("avalanche", "clb")
"""Codes with a term per task; the others keep one sum."""


def options(oracle: Oracle) -> dict[str, Any]:
    meta = oracle.meta
    found = asdict(make_plan("ewc", "split-digits", preset=meta["code"]).options)
    found |= {"epochs": meta["epochs"], "batch_size": 6, "lr": meta["lr"], "momentum": meta["momentum"]}
    found |= {"augment": "none", "optimizer": "sgd", "schedule": "constant", "weight_decay": 0.0, "reg": meta["reg"]}
    if meta["code"] in ("avalanche", "clb"):  # their presets say nothing of the loss
        found["loss"] = "global"
    if meta["code"] == "mammoth":
        found["decay"] = meta["gamma"]
    if meta["code"] == "pycil":
        assert found["fisher_clip"] == meta["fisher_clip"]
    return found


class Ordered(EWC):
    """EWC whose pass for the Fisher information has the batches of a file."""

    oracle: Oracle

    def batches(self, images: Any, size: int, augment: str | None = None) -> Any:
        if augment is not None:  # training names its augmentation
            return super().batches(images, size, augment)
        return InOrder(
            super().batches(images, size), self.oracle.tensor(f"fisher_batches/{self.trainer.journal.task}"), 1
        )


def fisher_of(learner: EWC) -> dict[str, Tensor]:
    """The Fisher information of the last term, by the names of the file; rows of the head in one tensor."""
    weights = learner.anchors.terms[-1]["weights"]
    found = {name.removeprefix("backbone.model."): v for name, v in weights.items() if name.startswith("backbone")}
    for part in ("weight", "bias"):
        blocks = [v for name, v in weights.items() if name.startswith("head.") and name.endswith(part)]
        if blocks:
            found[f"head_{part}"] = torch.cat(blocks)
    return found


CASES = [(name, False) for name in names("train-ewc")]
CASES += [(name, True) for name, _ in CASES if Oracle(name).meta["code"] in SEPARATE]
"""Files, and whether terms per task are merged into one, which must not change the training."""


@pytest.mark.parametrize(("name", "merged"), CASES)
def test_the_whole_training_ends_in_the_same_weights(name: str, merged: bool) -> None:
    oracle, done = Oracle(name), []

    def after(learner: Any, task: int) -> None:
        weights, biases = zip(*((block.weight, block.bias) for block in learner.head.blocks), strict=True)
        oracle.compare("training", trained(learner.backbone), trained(oracle, f"final/{task}/vit"))
        oracle.compare("training", torch.cat(weights), oracle.tensor(f"final/{task}/head_weight"))
        oracle.compare("training", torch.cat(biases), oracle.tensor(f"final/{task}/head_bias"))
        assert isinstance(learner.trainer, Replay)
        oracle.compare("loss", learner.trainer.losses[task, "train"], oracle.tensor(f"loss/{task}"))
        if not merged:
            found, theirs = fisher_of(learner), oracle.group(f"fisher/{task}")
            theirs = {key.removeprefix("vit/"): value for key, value in theirs.items()}
            assert set(found) == set(theirs)
            largest = max(float(value.max()) for value in theirs.values())
            for key, value in theirs.items():
                oracle.compare("forward", found[key] / largest, value / largest, "fisher, relative")
        done.append(task)

    method = type("Ordered", (Ordered,), {"oracle": oracle})
    replay(
        method, oracle, {"train": rows(oracle)}, begin=first_rows(oracle), after=after,
        **{**options(oracle), "merged": merged},
    )  # fmt: skip
    assert done == [0, 1, 2]
