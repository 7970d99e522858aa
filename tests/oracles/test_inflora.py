"""InfLoRA against liangyanshuo/InfLoRA @e08b00e: directions, training and memory over three tasks."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor

from cl.strategies.inflora import InfLoRA
from tests.help.oracles import Oracle, losses_of, names, replay, rows
from tests.help.oracles_tuned import as_many_steps


@pytest.mark.parametrize("name", names("train-inflora"))
def test_every_task_ends_in_the_weights_and_the_memory_of_the_code(name: str) -> None:
    oracle = Oracle(name)
    meta = oracle.meta

    def begin(learner: Any, task: int, phase: str) -> None:
        block = learner.head.blocks[-1]
        block.weight.copy_(oracle.tensor(f"init/{task}/head_weight"))
        block.bias.copy_(oracle.tensor(f"init/{task}/head_bias"))
        for number, a in enumerate(learner.lora.a[-1]):
            theirs = oracle.tensor(f"final/{task}/a/{number // 2}")
            signs = (a * theirs).sum(1, keepdim=True).sign()
            oracle.compare("forward", a * signs, theirs, "directions")
            a.copy_(theirs)  # with their signs, so B can be compared

    def after(learner: Any, task: int) -> None:
        final: dict[str, Tensor] = oracle.group(f"final/{task}")
        for block, (basis, free) in enumerate(zip(learner.memory.bases, learner.memory.free, strict=True)):
            assert free == bool(final[f"retain/{block}"]) and basis.shape[1] == int(final[f"size/{block}"])
            oracle.compare("training", basis @ basis.T, final[f"projection/{block}"], "directions")
            for number, kind in enumerate(("k", "v")):
                oracle.compare("training", learner.lora.b[task][2 * block + number], final[f"b_{kind}/{block}"])
        oracle.compare("training", learner.head.blocks[-1].weight, final["head_weight"])
        oracle.compare("training", learner.head.blocks[-1].bias, final["head_bias"])
        logits = learner.head(learner.lora(learner.backbone, oracle.images("pixels/0")))
        oracle.compare("training", logits, final["logits"])

    learner = replay(
        InfLoRA, oracle, {"train": as_many_steps(rows(oracle), {}, "train")}, begin=begin, after=after,
        rank=meta["rank"], lr=meta["lr"], epochs=meta["epochs"], batch_size=4, threshold=meta["lamb"],
        threshold_end=meta["lame"], augment="none",
    )  # fmt: skip
    for task in range(oracle.tasks):
        oracle.compare("loss", losses_of(learner)[task, "train"], oracle.tensor(f"loss/{task}"))


def test_the_files_cover_both_forms_of_the_memory_and_the_change_between_them() -> None:
    found = set()
    for name in names("train-inflora"):
        oracle = Oracle(name)
        for block in range(oracle.meta["vit"]["depth"]):
            found.add(tuple(bool(oracle.tensor(f"final/{task}/retain/{block}")) for task in range(3)))
    assert (False, False, False) in found
    assert any(not first and last for first, _, last in found), "a block that changes from 'remove' to 'retain'"
    assert (False, True, True) in found, "and is updated once more"
