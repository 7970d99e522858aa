"""MAS: importance without labels, its batches, and what is added."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cl.strategies.finetune import Finetune
from cl.strategies.mas import MAS
from tests.conftest import make, tensors, tiny_stream
from tests.help.compare import same

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 1, "batch_size": 8, "lr": 0.05, "augment": "none", "loss": "global"}


@pytest.mark.parametrize("gradients", ["images", "batches"])
def test_importance_is_the_mean_absolute_gradient_of_the_squared_logits(learn: Learn, gradients: str) -> None:
    """Of all logits of the classes seen; for batches, of the sum over a batch."""
    learner, stream = make(MAS, **FAST | {"batch_size": 24}, gradients=gradients, chunk=5), tiny_stream()
    learn(learner, stream, 2)
    view = stream.view(1)
    found = learner.importance(view, {})
    x = learner.backbone.transform(view.train.pixels(slice(None)))
    held = {name: value.requires_grad_(True) for name, value in learner.held().items()}
    expected = {name: torch.zeros_like(value) for name, value in held.items()}
    for part in x.split(1 if gradients == "images" else 24):
        norms = learner.head(learner.backbone(part)).square().sum()
        for name, gradient in zip(held, torch.autograd.grad(norms, list(held.values())), strict=True):
            expected[name] += gradient.abs() / 24
    assert {name: value.shape for name, value in found.items()} == {name: value.shape for name, value in held.items()}
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-5)
    assert float(found["head.blocks.0.weight"].max()) > 0, "rows of earlier classes have answers too"


def test_importances_of_tasks_add_up(learn: Learn) -> None:
    seen: list[dict[str, Any]] = []

    class Kept(MAS):
        def importance(self, view: Any, old: Any) -> dict[str, torch.Tensor]:
            found = super().importance(view, old)
            seen.append(super().importance(view, {}))
            return found

    learner = make(Kept, **FAST)
    learn(learner, tiny_stream(), 3)
    for name, value in learner.anchors.terms[0]["weights"].items():
        parts = [new[name] for new in seen if name in new]
        torch.testing.assert_close(value, torch.stack(parts).sum(0), rtol=1e-4, atol=1e-5)


def test_labels_do_not_matter_to_importance(learn: Learn) -> None:
    learner, stream = make(MAS, **FAST), tiny_stream()
    learn(learner, stream, 1)
    view = stream.view(0)
    learner.trainer.journal.begin(0)
    first = learner.importance(view, {})
    view.train.labels.fill_(0)
    learner.trainer.journal.begin(0)
    assert same(first, learner.importance(view, {}))


def test_without_weight_it_is_finetune_bit_for_bit(learn: Learn) -> None:
    learner, baseline = make(MAS, **FAST, reg=0.0), make(Finetune, **FAST)
    for each in (learner, baseline):
        learn(each, tiny_stream(), 2)
    assert same(tensors(learner), tensors(baseline))
