"""A-GEM: the projection, step for step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.strategies.a_gem import AGem
from cl.testing import check_strategy, tiny_backbone
from cl.training.batches import Batch
from tests.conftest import tiny_stream
from tests.help.exemplars import DECAY, MOMENTUM, Learn, learner, stepped
from tests.help.plain_loops import Tensors, close, logits, weights


@pytest.mark.slow
def test_it_keeps_the_contract() -> None:
    check_strategy("a-gem", options={"memory_size": 20})


def test_two_tasks_end_like_a_plain_loop(learn: Learn) -> None:
    model, method = tiny_backbone().model, learner(AGem, memory_size=20)
    for task, ours in enumerate(learn(method, tiny_stream(), 2, lambda s, view: weights(s))):
        batches, held = (of[task, "train"] for of in (method.trainer.batches, method.trainer.starts))
        assert [len(batch) for batch in batches] == [size * (1 + task) for size in (16, 8, 16, 8)]
        speed, projected, rate = {name: torch.zeros_like(value) for name, value in held.items()}, 0, stepped(batches)
        for step, batch in enumerate(batches):
            new = len(batch) // (1 + task)
            parts = [Batch(batch.x[:new], batch.y[:new]), Batch(batch.x[new:], batch.y[new:])][: 1 + task]
            g, *reference = [gradient_of(model, held, part) for part in parts]
            if reference:
                r = reference[0]
                dot = float(sum((g[name] * r[name]).sum() for name in g))
                if dot < 0:
                    projected += 1
                    length = float(sum((r[name] ** 2).sum() for name in r))
                    g = {name: g[name] - dot / length * r[name] for name in g}
            for name in held:
                speed[name] = MOMENTUM * speed[name] + g[name] + DECAY * held[name]
                held[name] = held[name] - rate(step) * speed[name]
        close(ours, held)
        assert bool(projected) == bool(task), "some gradients conflict"


def gradient_of(model: torch.nn.Module, held: Tensors, batch: Batch) -> Tensors:
    leaves = {name: value.detach().requires_grad_(True) for name, value in held.items()}
    loss = F.cross_entropy(logits(model, leaves, batch.x), batch.y)
    found: list[Tensor | None] = list(torch.autograd.grad(loss, list(leaves.values()), allow_unused=True))
    return {
        name: torch.zeros_like(value) if gradient is None else gradient
        for (name, value), gradient in zip(held.items(), found, strict=True)
    }


def test_a_projected_step_does_not_change_the_remembered_loss_to_first_order(learn: Learn) -> None:
    method = learner(AGem, memory_size=20)
    learn(method, tiny_stream(), 1)
    method.head.grow_to(4, torch.Generator().manual_seed(0))
    parameters = method._trained()
    for parameter in parameters:
        parameter.requires_grad_(True)
    old, new = torch.randn(6, 3, 8, 8), torch.randn(6, 3, 8, 8)
    rows, labels = torch.arange(-6, 6).roll(6), torch.tensor([2, 3, 2, 3, 2, 3, 0, 1, 0, 1, 0, 1])
    for x in (new, old):  # other images; the same images with other labels conflict
        method.objective(Batch(torch.cat([x, old]), labels, rows), (2, 3)).backward()
        before = [parameter.grad.clone() for parameter in parameters if parameter.grad is not None]
        references = list(method._reference)
        method.before_step(None)
        assert not method._reference, "gradients are not kept"
        pairs = [(p.grad, r) for p, r in zip(parameters, references, strict=True) if p.grad is not None]
        dot = sum(float((g * r).sum()) for g, r in pairs if r is not None)
        raw = sum(float((g * r).sum()) for g, (_, r) in zip(before, pairs, strict=True) if r is not None)
        assert dot == pytest.approx(max(raw, 0.0), abs=1e-4)
        for parameter in parameters:
            parameter.grad = None
    assert raw < 0
