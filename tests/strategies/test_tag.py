"""TAG: its steps in a plain loop over three tasks, its baseline, and what is kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from cl.parts.losses import local_cross_entropy
from cl.plan.plan import make_plan
from cl.strategies.tag import TAG
from cl.testing import check_strategy, tiny_backbone
from cl.training import state
from cl.training.batches import Batch
from tests.conftest import make, tensors, tiny_stream
from tests.help.exemplars import learner as on_tiny
from tests.help.plain_loops import Tensors, close, logits, weights

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {
    **{"epochs": 2, "batch_size": 8, "lr": 1e-3, "augment": "none", "momentum": 0.9, "weight_decay": 0.0},
    **{"optimizer": "rmsprop", "schedule": "constant", "b": 2.0, "beta2": 0.9},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rmsprop", "adam"])
def test_it_keeps_the_contract(kind: str) -> None:
    check_strategy("tag", options={"optimizer": kind, "batch_size": 8})


def plain(
    model: Any, held: Tensors, batches: list[Batch], classes: tuple[int, ...], past: list[tuple[Tensors, Tensors]]
) -> tuple[Tensors, tuple[Tensors, Tensors]]:
    """RMSProp by the formulas of the paper; `past` has (direction, V) of each task."""
    held = {name: value.clone() for name, value in held.items()}
    first, second = ({name: torch.zeros_like(value) for name, value in held.items()} for _ in range(2))
    for batch in batches:
        leaves = {name: value.detach().requires_grad_(True) for name, value in held.items()}
        loss = local_cross_entropy(logits(model, leaves, batch.x), batch.y, classes)
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        for (name, value), gradient in zip(held.items(), found, strict=True):
            g = torch.zeros_like(value) if gradient is None else gradient
            first[name] = 0.9 * first[name] + 0.1 * g
            second[name] = 0.9 * second[name] + 0.1 * g**2
            if not first[name].any():
                continue
            total = second[name] * (math.exp(-2) if past else 1.0)
            if not name.startswith("head_"):  # rows of other tasks have no gradient
                for direction, old in past:
                    cosine = (first[name] / first[name].norm() * direction[name]).sum()
                    total = total + torch.exp(-2 * cosine) * old[name]
            held[name] = value - 1e-3 * g / (total.sqrt() + 1e-8)
    return held, ({name: value / value.norm().clamp(min=1e-30) for name, value in first.items()}, second)


def test_three_tasks_end_like_a_plain_loop(learn: Learn) -> None:
    method = on_tiny(TAG, **FAST)
    ends = learn(method, tiny_stream(), 3, lambda s, view: (weights(s), view.classes))
    past: list[tuple[Tensors, Tensors]] = []
    for task, (ours, classes) in enumerate(ends):
        start, batches = method.trainer.starts[task, "train"], method.trainer.batches[task, "train"]
        held, moments = plain(tiny_backbone().model, start, batches, classes, past)
        past.append(moments)
        close(ours, held, atol=2e-4)
        assert any(float((held[name] - start[name]).abs().max()) > 1e-3 for name in held)


def test_old_rows_of_the_head_stay_and_moments_are_stored_once(learn: Learn) -> None:
    method = make(TAG, **{**FAST, "optimizer": "adam", "epochs": 1})
    rows = learn(method, tiny_stream(), 2, lambda s, view: s.head.blocks[0].weight.clone())
    assert torch.equal(*rows)
    per_task = sum(p.numel() for p in method.backbone.model.parameters()) + 2 * (method.backbone.dim + 1)
    assert method.stored()["statistics"] == 2 * 2 * per_task * 4
    assert set(method.report()) == {"similarity"} and -1 <= method.report()["similarity"] <= 1


def test_the_baseline_is_one_optimiser_that_is_never_reset(learn: Learn) -> None:
    method = make(TAG, **{**FAST, "per_task": False, "optimizer": "adagrad"})
    seen = learn(method, tiny_stream(), 2, lambda s, view: state.clone(s.moments.second))
    name = next(iter(seen[0]))
    assert method.moments.tasks == 0 and bool((seen[1][name] >= seen[0][name]).all())
    assert not torch.equal(seen[0][name], seen[1][name])


def test_one_task_of_tag_is_its_baseline_bit_for_bit(learn: Learn) -> None:
    ends = [make(TAG, **{**FAST, "per_task": each}) for each in (True, False)]
    for each in ends:
        learn(each, tiny_stream(), 1)
    one, two = map(tensors, ends)
    assert all(torch.equal(one[name], two[name]) for name in two)


def test_presets_are_those_of_the_scripts() -> None:
    def of(preset: str | None) -> TAG.Options:
        found: TAG.Options = make_plan("tag", "split-cifar100", "wsn_resnet18@random", preset=preset).options
        assert (found.epochs, found.batch_size, found.b) == (1, 10, 5.0)
        return found

    rates = {None: 2.5e-4, "adagrad": 5e-3, "adam": 5e-4, "naive-rmsprop": 5e-3, "naive-adagrad": 0.01}
    assert {name: of(name).lr for name in rates} == rates
    assert of("adam").beta2 == 0.999 and not of("naive-adagrad").per_task and of(None).optimizer == "rmsprop"
