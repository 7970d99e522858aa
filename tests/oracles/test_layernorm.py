"""Continual LayerNorm tuning against tdemin16/Continual-LayerNorm-Tuning @5cc3b78: keys, norms, heads, routing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cl.strategies.layernorm import LayerNormTuning
from tests.help.oracles import Oracle, names, replay, rows
from tests.help.oracles_tuned import as_many_steps

FILES = names("train-layernorm-one") + names("train-layernorm-two")


@pytest.mark.parametrize("name", FILES)
def test_every_task_ends_in_the_weights_of_the_code(name: str) -> None:
    oracle = Oracle(name)
    meta, two, trainers = oracle.meta, oracle.meta["stages"] == "two", []
    kinds = ["keys"] if two else ["keys", "attention"]

    def before(learner: Any, task: int) -> None:
        if task == 0:
            for kind in kinds:
                for row, value in zip(getattr(learner, kind).rows, oracle.tensor(f"init/{kind}"), strict=True):
                    row.copy_(value)

    def begin(learner: Any, task: int, phase: str) -> None:
        trainers.append(learner.trainer)
        if phase == "norms":
            for head in (learner.head, learner.fake_head):
                block = head.blocks[-1]
                block.weight.copy_(oracle.tensor("init/head_weight")[head.classes - block.out_features : head.classes])

    def after(learner: Any, task: int) -> None:
        end, losses = f"final/{task}", trainers[0].losses
        for kind in kinds:
            held = torch.stack(list(getattr(learner, kind).rows))[: task + 1]
            oracle.compare("training", held, oracle.tensor(f"{end}/{kind}")[: task + 1])
        oracle.compare("training", learner.norms.weights[task], oracle.tensor(f"{end}/scale"))
        oracle.compare("training", learner.norms.biases[task], oracle.tensor(f"{end}/shift"))
        for head, kind in ((learner.fake_head, "fake_head"), (learner.head, "head")):
            for part in ("weight", "bias"):
                values = torch.cat([getattr(block, part) for block in head.blocks])
                oracle.compare("training", values, oracle.tensor(f"{end}/{kind}_{part}"))
        oracle.compare("loss", losses[task, "rectification"], oracle.tensor(f"rectify_loss/{task}"))
        if two:  # the file has the cross-entropy alone; one stage also trains the similarity
            oracle.compare("loss", losses[task, "norms"], oracle.tensor(f"loss/{task}"))

    keys = {"key": "key_batches", "norms": "batches", "rectification": "rectify_batches"}
    given = {phase: as_many_steps(rows(oracle, key), {}, phase) for phase, key in keys.items()}
    learner = replay(
        LayerNormTuning, oracle, given, begin=begin, before=before, after=after, stages=meta["stages"],
        epochs=meta["epochs"], key_epochs=meta["epochs"], rectify_epochs=meta["epochs"], batch_size=4, lr=meta["lr"],
        rectify_lr=meta["rectify_lr"], augment="none",
    )  # fmt: skip
    pixels = oracle.tensor("test_pixels")
    oracle.compare("forward", learner.predict_images(pixels), oracle.tensor("test_logits"))
    if two:
        chosen = learner._nearest(0, learner.backbone(oracle.images("test_pixels")))
        assert chosen.tolist() == oracle.tensor("test_routes").tolist()
