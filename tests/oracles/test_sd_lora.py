"""SD-LoRA against WuYichen-97/SD-Lora-CL @8bacded: three tasks with frozen directions and trained magnitudes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cl.strategies.sd_lora import SDLoRA
from tests.help.oracles import Oracle, losses_of, names, replay, rows
from tests.help.oracles_tuned import as_many_steps


@pytest.mark.parametrize("name", names("train-sd-lora"))
def test_every_task_ends_in_the_weights_of_the_code(name: str) -> None:
    oracle = Oracle(name)
    meta = oracle.meta

    def begin(learner: Any, task: int, phase: str) -> None:
        block = learner.head.blocks[-1]
        block.weight.copy_(oracle.tensor(f"init/{task}/head_weight"))
        block.bias.copy_(oracle.tensor(f"init/{task}/head_bias"))
        for number, a in enumerate(learner.lora.a[-1]):
            a.copy_(oracle.tensor(f"init/{task}/a/{number}"))

    def after(learner: Any, task: int) -> None:
        final: dict[str, Tensor] = oracle.group(f"final/{task}")
        for number in range(len(learner.lora.sites)):
            oracle.compare("training", learner.lora.a[task][number], final[f"a/{number}"])
            oracle.compare("training", learner.lora.b[task][number], final[f"b/{number}"])
        magnitudes = learner.magnitudes[: task + 1]
        oracle.compare("training", magnitudes, final["magnitudes"])
        oracle.compare("training", torch.cat([block.weight for block in learner.head.blocks]), final["head_weight"])
        oracle.compare("training", torch.cat([block.bias for block in learner.head.blocks]), final["head_bias"])
        logits = learner.head(learner.lora(learner.backbone, oracle.images("pixels/0"), magnitudes))
        oracle.compare("training", logits, final["logits"])

    learner = replay(
        SDLoRA, oracle, {"train": as_many_steps(rows(oracle), {}, "train")}, begin=begin, after=after,
        rank=meta["rank"], lr=meta["lr"], momentum=meta["momentum"], epochs=meta["epochs"], batch_size=4,
        augment="none",
    )  # fmt: skip
    for task in range(oracle.tasks):
        oracle.compare("loss", losses_of(learner)[task, "train"], oracle.tensor(f"loss/{task}"))
