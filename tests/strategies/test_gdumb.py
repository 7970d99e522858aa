"""GDumb: a balanced memory, a new network after every task, its rates, CutMix and clipping."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.errors import UsageError
from cl.parts.mixing import drawn_cutmix
from cl.strategies.gdumb import GDumb
from cl.testing import check_strategy, tiny_backbone
from cl.training.batches import Batch
from tests.conftest import make, run, tiny_stream
from tests.help.exemplars import BYTES, Learn, learner
from tests.help.online import ONE_PASS, stream_in
from tests.help.plain_loops import Tensors, close, logits, weights

GIVEN: dict[str, Any] = {
    **{"memory_size": 16, "batch_size": 8, "augment": "crop-flip", "lr": 0.05, "min_lr": 0.01, "epochs": 5},
    **{"schedule": "restarts", "weight_decay": 0.02, "momentum": 0.9},
}


@pytest.mark.slow
def test_it_keeps_the_contract() -> None:
    check_strategy("gdumb", options={"memory_size": 20, "epochs": 2})


@pytest.mark.parametrize("clip", [0.0, 0.1], ids=["free", "clipped"])
def test_two_tasks_end_like_a_plain_loop(clip: float, learn: Learn) -> None:
    model, start = tiny_backbone().model, weights_of(tiny_backbone())
    method = learner(GDumb, **GIVEN, cutmix=0.0, clip=clip)
    for task, ours in enumerate(learn(method, tiny_stream(), 2, lambda s, view: weights(s))):
        batches, held = (of[task, "train"] for of in (method.trainer.batches, method.trainer.starts))
        assert all(torch.equal(held[name], value) for name, value in start.items()), "a new network"
        assert len(batches) == 10 and len(held["head_weight"]) == 2 * (task + 1)
        speed = {name: torch.zeros_like(value) for name, value in held.items()}
        for step, batch in enumerate(batches):
            leaves = {name: value.detach().requires_grad_(True) for name, value in held.items()}
            loss = F.cross_entropy(logits(model, leaves, batch.x), batch.y)
            found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
            g = {n: torch.zeros_like(v) if d is None else d for (n, v), d in zip(held.items(), found, strict=True)}
            if clip:
                norm = math.sqrt(sum(float((d**2).sum()) for d in g.values()))
                g = {name: d * min(1.0, clip / (norm + 1e-6)) for name, d in g.items()}
            # a tenth; then from the highest to the lowest over one, two and four epochs
            rate = (0.005, 0.05, 0.05, 0.03, 0.05)[step // 2]
            for name in held:
                speed[name] = 0.9 * speed[name] + g[name] + 0.02 * held[name]
                held[name] = held[name] - rate * speed[name]
        close(ours, held)


def weights_of(backbone: Any) -> Tensors:
    return {name: parameter.detach().clone() for name, parameter in backbone.model.named_parameters()}


def test_it_trains_on_a_balanced_memory_alone(learn: Learn) -> None:
    method = learner(GDumb, **{**GIVEN, "memory_size": 14, "epochs": 1})
    learn(method, tiny_stream(), 3)
    for task, counts in enumerate(([7, 7], [4, 4, 3, 3], [3, 3, 2, 2, 2, 2])):
        labels = torch.cat([batch.y for batch in method.trainer.batches[task, "train"]])
        assert labels.bincount().tolist() == counts
    assert method.stored()["samples"] == 14 * BYTES


def test_cutmix_mixes_half_of_the_steps_and_their_labels() -> None:
    method = make(GDumb, **{**GIVEN, "augment": "none"})
    method.info = tiny_stream().info
    method.setup(method.info)
    method.head.grow_to(4, torch.Generator().manual_seed(0))
    batch = Batch(torch.randn(8, 3, 8, 8), torch.tensor([0, 1, 2, 3, 0, 1, 2, 3]))
    same, mixed = 0, 0
    with torch.no_grad():
        for number in range(40):
            method.trainer.journal.begin(number)
            drawn = method.rng("cutmix")
            before = drawn.get_state()
            value = method.objective(batch, (0, 1, 2, 3))
            drawn.set_state(before)
            if float(torch.rand(1, generator=drawn)) >= 0.5:
                same += 1
                assert torch.allclose(value, F.cross_entropy(method.head(method.backbone(batch.x)), batch.y))
                continue
            mixed += 1
            x, order, share = drawn_cutmix(batch.x, 1.0, drawn)
            p = method.head(method.backbone(x)).log_softmax(1)
            rows = torch.arange(8)
            assert torch.allclose(value, -(share * p[rows, batch.y] + (1 - share) * p[rows, batch.y[order]]).mean())
    assert min(same, mixed) >= 10


def test_features_that_are_memoised_cannot_be_mixed() -> None:
    with pytest.raises(UsageError, match="cannot mix images whose features are memoised; set cutmix=0"):
        make(GDumb, trains="head", augment="none").setup(tiny_stream().info)


def test_online_and_with_a_frozen_backbone(tmp_path: Path) -> None:
    method = make(GDumb, **ONE_PASS, memory_size=25, trains="head", augment="none", cutmix=0.0)
    run(method, stream_in("online", chunk=30), tmp_path)
    assert sorted(method.memory.labels.bincount().tolist()) == [2] * 5 + [3] * 5


def test_a_memory_smaller_than_the_classes(learn: Learn) -> None:
    method = learner(GDumb, **{**GIVEN, "memory_size": 3, "epochs": 1})
    found: list[Tensor] = learn(method, tiny_stream(), 3, lambda s, view: s.memory.labels.clone())
    assert [each.tolist() for each in found] == [[0, 0, 1], [0, 1, 2], [0, 1, 2]]
