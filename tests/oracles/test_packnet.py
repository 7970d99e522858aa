"""PackNet against arunmallya/packnet @7b6032c: whole trainings with pruning."""

from __future__ import annotations

from typing import Any

import torch

from cl.backbone import Backbone
from cl.strategies.packnet import PackNet
from tests.help.oracles import Oracle, half, identity, losses_of, replay, rows
from tests.help.oracles_sparse import LAYERS, NormedNet

ORACLE = Oracle("train-packnet-a")


def test_the_whole_training_ends_in_the_same_masks_and_weights() -> None:
    meta, done = ORACLE.meta, []
    model = NormedNet(meta["channels"], meta["dim"])
    model.load_state_dict({k: v for k, v in ORACLE.group("init").items() if not k.startswith("heads")}, strict=False)

    def begin(learner: Any, task: int, phase: str) -> None:
        if phase == "train":
            learner.head.blocks[-1].weight.copy_(ORACLE.tensor(f"init/heads.{task}.weight"))
            learner.head.blocks[-1].bias.copy_(ORACLE.tensor(f"init/heads.{task}.bias"))

    def after(learner: PackNet, task: int) -> None:
        for layer, weight, mask in zip(LAYERS, learner._weights, learner.masks[task], strict=True):
            owner = ORACLE.tensor(f"owner/{task}/{layer}")
            ORACLE.compare("training", mask.byte(), ((owner > 0) & (owner <= task + 1)).byte())
            ORACLE.compare("training", weight, ORACLE.tensor(f"final/{task}/{layer}"))
        for name in ("bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var", "fc1.bias"):
            ORACLE.compare("training", learner.backbone.model.state_dict()[name], ORACLE.tensor(f"final/{task}/{name}"))
        for part in ("weight", "bias"):
            ours, theirs = getattr(learner.head.blocks[task], part), ORACLE.tensor(f"final/{task}/heads.{task}.{part}")
            ORACLE.compare("training", ours, theirs)
        ORACLE.compare("loss", losses_of(learner)[task, "train"], ORACLE.tensor(f"loss/{task}"))
        ORACLE.compare("loss", losses_of(learner)[task, "after pruning"], ORACLE.tensor(f"loss_after/{task}"))
        with torch.no_grad():
            found = learner.predict_images(ORACLE.tensor(f"pixels/{task}"), task)[:, learner.head.tasks[task]]
        ORACLE.compare("forward", found, ORACLE.tensor(f"logits/{task}"))
        done.append(task)

    replay(
        PackNet, ORACLE, {"train": rows(ORACLE, "train"), "after pruning": rows(ORACLE, "after")}, begin=begin,
        after=after, backbone=Backbone(model, half(8), identity(ORACLE.name, meta["dim"])), batch_size=6,
        **{key: meta[key] for key in ("prune", "epochs", "prune_epochs", "lr", "prune_lr", "decay_every")},
    )  # fmt: skip
    assert done == list(range(meta["tasks"]))
