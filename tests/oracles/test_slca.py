"""SLCA against GengDavid/SLCA @169d4e6: slow learning, shrunk means and alignment, for equal and unequal tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cl.strategies.slca import SLCA
from tests.help.oracles import Oracle, features, names, replay, rows
from tests.help.oracles_tuned import as_many_steps

SLOW, ALIGN = "slow learning", "classifier alignment"


def rows_of(head: Any) -> torch.Tensor:
    return torch.cat([block.weight for block in head.blocks])


def biases_of(head: Any) -> torch.Tensor:
    return torch.cat([block.bias for block in head.blocks])


def learned(oracle: Oracle, own: dict[tuple[int, str], Any], after: Callable[[Any, int], None], **options: Any) -> SLCA:
    """Replay a file through `learn`; `own` gets the method's sources of images and features."""
    meta = oracle.meta

    def begin(learner: Any, task: int, phase: str) -> None:
        if phase == SLOW:
            block = learner.heads.blocks[-1]
            start = learner.heads.classes - block.out_features
            block.weight.copy_(oracle.tensor("init/head_weight")[start : learner.heads.classes])

    given = {SLOW: as_many_steps(rows(oracle), own, SLOW), ALIGN: as_many_steps(features(oracle), own, ALIGN)}
    values = {
        "augment": "none", "epochs": meta["epochs"], "batch_size": 4, "lr": meta["lr"],
        "backbone_lr_scale": meta["backbone_lr"] / meta["lr"], "momentum": meta["momentum"],
        "weight_decay": meta["weight_decay"], "milestones": tuple(meta["milestones"]), "gamma": meta["gamma"],
        "ca_epochs": meta["ca_epochs"], "ca_samples": meta["ca_samples"], "ca_lr": meta["ca_lr"],
        "logit_norm": meta["logit_norm"],
    }  # fmt: skip
    return replay(SLCA, oracle, given, begin=begin, after=after, **{**values, **options})


@pytest.mark.parametrize("name", names("train-slca"))
def test_every_task_ends_in_the_weights_of_the_code(name: str) -> None:
    oracle = Oracle(name)
    own: dict[tuple[int, str], Any] = {}

    def after(learner: Any, task: int) -> None:
        model = dict(learner.backbone.model.state_dict())
        for key, value in oracle.group(f"final/{task}/vit").items():
            oracle.compare("training", model[key], value)
        oracle.compare("training", rows_of(learner.heads), oracle.tensor(f"final/{task}/head_weight"))
        oracle.compare("training", biases_of(learner.heads), oracle.tensor(f"final/{task}/head_bias"))
        oracle.compare("loss", learner.trainer.losses[task, SLOW], oracle.tensor(f"loss/{task}"), "losses")
        if task == 0:
            return
        oracle.compare("training", learner.gaussians.mean, oracle.tensor(f"align/{task}/class_means"))
        oracle.compare("training", rows_of(learner.aligned), oracle.tensor(f"align/{task}/head_weight"))
        oracle.compare("training", biases_of(learner.aligned), oracle.tensor(f"align/{task}/head_bias"))
        oracle.compare("loss", learner.trainer.losses[task, ALIGN], oracle.tensor(f"align/{task}/loss"), "losses")
        drawn = own[task, ALIGN]  # the method's own source of features
        shrunk = drawn.gaussians.mean[: learner.heads.classes] * drawn.scale[:, None]
        oracle.compare("training", shrunk, oracle.tensor(f"align/{task}/shrunk_means"))

    learned(oracle, own, after, legacy_task_index="unequal" in name)
    assert all(source.per_class == oracle.meta["ca_samples"] for key, source in own.items() if key[1] == ALIGN)


def test_the_alignment_has_its_own_rate() -> None:
    # the files have one rate for the heads and the alignment, so this is a plain loop from the file's heads
    oracle, rate = Oracle("train-slca-b"), 0.02
    meta, task = oracle.meta, 1
    weight, bias = (oracle.tensor(f"final/{task}/head_{kind}").requires_grad_() for kind in ("weight", "bias"))
    optimizer = torch.optim.SGD([weight, bias], rate, meta["momentum"], weight_decay=meta["weight_decay"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, meta["ca_epochs"])
    x, y = (oracle.tensor(f"align/{task}/{kind}") for kind in ("x", "y"))
    for batches, labels in zip(x.chunk(meta["ca_epochs"]), y.chunk(meta["ca_epochs"]), strict=True):
        for features_, classes in zip(batches, labels, strict=True):
            logits = features_ @ weight.T + bias
            norms = torch.stack([block.norm(dim=1) for block in logits.split(meta["sizes"][: task + 1], 1)], 1)
            scaled = logits / norms.mean(1, keepdim=True) / meta["logit_norm"]
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(scaled, classes).backward()
            optimizer.step()
        schedule.step()

    def after(learner: Any, at: int) -> None:
        if at == task:
            oracle.compare("training", rows_of(learner.aligned), weight)
            oracle.compare("training", biases_of(learner.aligned), bias)

    learned(oracle, {}, after, ca_lr=rate)
