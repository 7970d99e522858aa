"""Dependency-preserving hypernetwork: the contract, importance, growth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.generated import Recurrent
from cl.random import Seeds
from cl.strategies.dp_hypernetwork import DPHypernetwork
from cl.testing import check_strategy
from cl.training.trainer import Trainer
from tests.conftest import run, tiny_stream
from tests.help.backbones import flat_backbone

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 2, "batch_size": 6, "units": 6, "embedding": 6, "lr": 3e-3}


def dp_hypernetwork(**options: Any) -> DPHypernetwork:
    return DPHypernetwork(DPHypernetwork.Options(**{**FAST, **options}), flat_backbone(), Trainer(seeds=Seeds()))


def recurrent(method: DPHypernetwork) -> Recurrent:
    assert isinstance(method.generator, Recurrent)
    return method.generator


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"importance": "layer", "grow": 2, "grow_below": 1.0}, {"importance": "weight"}])
def test_it_keeps_the_contract(options: dict[str, Any]) -> None:
    small = {"epochs": 2, "batch_size": 8, "ratio": 2.0, "images": 16}
    check_strategy("dp-hypernetwork", options={**small, **options})


def test_it_learns_digits_and_keeps_them(tmp_path: Path) -> None:
    record = run(dp_hypernetwork(epochs=20, lr=1e-2, units=12, ratio=2.0), tiny_stream(), tmp_path)
    matrix = record["result"]["accuracy"]["til_oracle"]["correct"]
    assert matrix[-1][0] > 9 and sum(matrix[-1]) > 44, "of 12 and of 60"


def squares(method: DPHypernetwork, view: Any) -> Tensor:
    """Mean squared gradients of single images' losses in a plain loop."""
    with torch.no_grad():
        flat = method.generator(method.embeddings[-1][0][None])[0]
    total, count = torch.zeros_like(flat), 0
    for x, y in method.chunks(view.train):
        for image, label in zip(x, y, strict=True):
            leaf = flat.clone().requires_grad_()
            weights = method._layout.split(leaf)
            features = torch.func.functional_call(method.backbone.model, weights.backbone, (image[None],))
            loss = F.cross_entropy(features @ weights.weight.T + weights.bias, label[None] - view.classes[0])
            total, count = total + torch.autograd.grad(loss, leaf)[0].square(), count + 1
    return total / count


@pytest.mark.parametrize("kind", ["layer", "weight"])
def test_the_importance_is_the_fisher_information_with_a_mean_of_one(kind: str, learn: Learn) -> None:
    method = dp_hypernetwork(importance=kind)
    found = learn(method, tiny_stream(), 2, squares)
    for ours, plain in zip(method.importance, found, strict=True):
        wanted = plain / plain.mean()
        if kind == "layer":
            assert len(ours) == 4 and max(ours) > 2 * min(ours)
            wanted = torch.stack([part.mean() for part in wanted.split(method._layout.layers)])
        torch.testing.assert_close(ours, wanted, rtol=1e-3, atol=1e-4)
        assert float(method._per_weight(ours).mean()) == pytest.approx(1, abs=1e-4)
    assert method.stored()["statistics"] == 4 * 2 * (4 if kind == "layer" else method._layout.size)


def test_squared_changes_are_weighed_by_it(learn: Learn) -> None:
    method = dp_hypernetwork(lookahead=False)
    learn(method, tiny_stream(), 2)
    method.trainer.journal.begin(2)
    earlier = method.begin(tiny_stream().view(2))
    assert earlier is not None and earlier.outputs is not None and earlier.importance is not None
    change = torch.randn(2, method._layout.size, generator=torch.Generator().manual_seed(1))
    found = earlier.penalty(earlier.outputs + change, torch.arange(2))
    wanted = sum(
        float(method.importance[task][layer] * part.square().sum())
        for task in range(2)
        for layer, part in enumerate(change[task].split(method._layout.layers))
    )
    assert float(found) == pytest.approx(wanted, rel=1e-4)
    assert method.held == 4 * 2 * 2 * method._layout.size
    plain = dp_hypernetwork(importance="none")
    learn(plain, tiny_stream(), 2)
    assert plain.importance_of(1) is None and plain.importance == []


def test_it_grows_after_a_task_that_was_not_learned_well_and_trains_it_again(learn: Learn) -> None:
    method, phases = dp_hypernetwork(grow=3, grow_below=1.0, lr=1e-4), []
    fit = method.fit

    def noted(phase: str, *arguments: Any, **more: Any) -> Any:
        phases.append((phase, recurrent(method).cell.hidden_size))
        return fit(phase, *arguments, **more)

    vars(method)["fit"] = noted
    found = learn(method, tiny_stream(), 2, lambda s, view: [e.detach().clone() for e in s.embeddings.column(0)])
    assert phases == [("generate", 6), ("after growth", 9), ("generate", 9), ("after growth", 12)]
    assert method.report()["units"] == 12 and torch.equal(found[0][0], found[1][0])
    never = dp_hypernetwork(grow=3, grow_below=0.0)
    learn(never, tiny_stream(), 2)
    assert never.report()["units"] == 6


def test_the_accuracy_that_growth_asks_for_is_that_of_training_images(learn: Learn) -> None:
    method, stream = dp_hypernetwork(epochs=4), tiny_stream()
    learn(method, stream, 2)
    view, right, count = stream.view(1), 0, 0
    for x, y in method.chunks(view.train):
        weights = method._weights(1)[1]
        with torch.no_grad():
            features = torch.func.functional_call(method.backbone.model, weights.backbone, (x,))
            right += int(((features @ weights.weight.T + weights.bias).argmax(1) + 2 == y).sum())
        count += len(y)
    assert method._accuracy(view) == pytest.approx(right / count)


@pytest.mark.parametrize("targets", ["outputs", "weights"])
def test_what_was_generated_before_the_task_is_the_target_after_growth_too(targets: str, learn: Learn) -> None:
    method = dp_hypernetwork(grow=2, grow_below=1.0, lr=1e-4, targets=targets)
    learn(method, tiny_stream(), 1)
    method.trainer.journal.begin(1)
    given: list[Any] = []
    train = method.train_task

    def noted(view: Any, phase: str, earlier: Any) -> None:
        given.append(earlier)
        train(view, phase, earlier)

    vars(method)["train_task"] = noted
    with torch.no_grad():
        before = method.generator(method.embeddings[0][0][None])
    method.learn(tiny_stream().view(1))
    assert len(given) == 2 and given[0] is given[1]
    zero = given[1].penalty(before, torch.arange(1))
    assert float(zero) == 0
