"""Finetune Adapter: one set of adapters and the newest rows train, as in a plain loop."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch.nn import functional as F

from cl.strategies.finetune_adapter import FinetuneAdapter
from cl.training import state
from tests.conftest import make, tiny_stream
from tests.help.oracles import Oracle, replay, rows

ORACLE = Oracle("train-mos-merge0.0-a")  # its network, images and batches
VALUES: dict[str, Any] = {"epochs": 2, "lr": 0.1, "momentum": 0.9, "weight_decay": 0.05}


def test_every_task_ends_in_the_weights_of_a_plain_loop() -> None:
    starts: list[Any] = []
    ends: list[Any] = []

    def begin(learner: Any, task: int, phase: str) -> None:
        learner.adapters.dropout = 0.0
        starts.append((copy.deepcopy(learner.adapters), copy.deepcopy(learner.head)))

    def after(learner: Any, task: int) -> None:
        ends.append((copy.deepcopy(learner.adapters), copy.deepcopy(learner.head)))

    learner = replay(
        FinetuneAdapter, ORACLE, {"adapters": rows(ORACLE)}, begin=begin, after=after, batch_size=4, rank=3,
        augment="none", **VALUES,
    )  # fmt: skip
    backbone, adapters, first = ORACLE.backbone(), starts[0][0], 0
    for task, (_, head) in enumerate(starts):
        newest = head.blocks[-1].requires_grad_(True)
        trained = [*adapters.requires_grad_(True).parameters(), *newest.parameters()]
        optimizer = torch.optim.SGD(trained, VALUES["lr"], VALUES["momentum"], weight_decay=VALUES["weight_decay"])
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, VALUES["epochs"])
        images, labels = ORACLE.images(f"pixels/{task}"), ORACLE.tensor(f"labels/{task}") - first
        for epoch in ORACLE.tensor(f"batches/{task}").chunk(VALUES["epochs"]):
            for batch in epoch:
                optimizer.zero_grad()
                F.cross_entropy(newest(adapters(backbone, images[batch])), labels[batch]).backward()
                optimizer.step()
            schedule.step()
        for one, two in zip(adapters.parameters(), ends[task][0].parameters(), strict=True):
            assert torch.allclose(one, two, atol=1e-6)
        for one, two in zip(newest.parameters(), ends[task][1].blocks[task].parameters(), strict=True):
            assert torch.allclose(one, two, atol=1e-6)
        first += newest.out_features
    frozen, before = dict(learner.backbone.model.state_dict()), dict(backbone.model.state_dict())
    assert all(torch.equal(frozen[name], before[name]) for name in before)


def test_old_rows_of_the_head_neither_train_nor_decay() -> None:
    found: list[Any] = []

    def after(learner: Any, task: int) -> None:
        found.append(state.clone(learner.head.get_state()))

    learner = replay(FinetuneAdapter, ORACLE, {}, after=after, batch_size=4, rank=2, augment="none", **VALUES)
    for task in (0, 1):
        assert torch.equal(found[task]["weights"][task], found[2]["weights"][task])
        assert torch.equal(found[task]["biases"][task], found[2]["biases"][task])
    scores = learner.predict_images(ORACLE.tensor("pixels/0"))
    with torch.no_grad():
        features = learner.adapters(learner.backbone, ORACLE.images("pixels/0"))
        expected = torch.cat([block(features) for block in learner.head.blocks], 1)
    assert torch.allclose(scores, expected, atol=1e-5)


def test_adapters_and_head_start_as_in_aper_and_pilot() -> None:
    learner = make(FinetuneAdapter, rank=3)
    learner.setup(tiny_stream().info)
    learner.head.grow_to(400, learner.init_rng("head"))
    assert (learner.adapters.scale, learner.adapters.dropout, learner.adapters.down.shape[1]) == (0.1, 0.1, 3)
    dim, weight = learner.backbone.dim, learner.head.blocks[0].weight
    assert float(weight.abs().max()) <= dim**-0.5 and float(weight.std()) > 0.9 * (3 * dim) ** -0.5
    assert not learner.head.blocks[0].bias.any()
