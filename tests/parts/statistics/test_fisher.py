"""Anchors and the diagonal Fisher: against formulas, and against avalanche-lib's EWC on the same model and data."""

from __future__ import annotations

import math
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from cl.avalanche import lib
from cl.parts.statistics.anchors import Anchors
from cl.parts.statistics.fisher import Parameters, answers, diagonal
from cl.testing import tiny_backbone
from cl.training import state
from cl.training.batches import Batch

with lib.quiet():
    from avalanche.training.plugins import EWCPlugin


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def terms(count: int) -> list[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Centres and weights; the third parameter appears with the second term, and some weights are zero."""
    found = []
    for index in range(count):
        shapes = {"a": (4, 5), "b": (7,)} | ({"c": (3,)} if index else {})
        centres = {name: torch.randn(shape, generator=rng(index)) for name, shape in shapes.items()}
        weights = {name: torch.rand(shape, generator=rng(9 + index)) for name, shape in shapes.items()}
        weights["b"][:2] = 0.0
        weights["a"] *= 10.0 ** (-8 * index)  # as far apart as Fisher informations are
        found.append((centres, weights))
    return found


@pytest.mark.parametrize("near", [1.0, 1e-4])
def test_merged_terms_have_the_value_and_gradient_of_all_of_them(near: float) -> None:
    exact, merged, at_once, loaded = Anchors(), Anchors(), Anchors(), Anchors()
    for centres, weights in terms(4):
        exact.add(centres, weights)
        merged.add(centres, weights)
        merged.merge()
        at_once.add(centres, weights)
    at_once.merge()
    loaded.set_state(state.clone(merged.get_state()))
    assert len(exact) == 4 and len(merged) == len(at_once) == 1
    last = terms(4)[-1][0]
    theta = {
        name: (c + near * torch.randn(c.shape, generator=rng(77))).requires_grad_(True) for name, c in last.items()
    }
    one, two = exact.penalty(theta), merged.penalty(theta)
    assert one is not None and two is not None
    by_hand = sum(
        float((w[n].double() * (theta[n].detach() - c[n]).double() ** 2).sum()) for c, w in terms(4) for n in c
    )
    assert float(one.detach()) == pytest.approx(by_hand, rel=1e-5)
    torch.testing.assert_close(two, one, rtol=1e-5, atol=0.0)
    torch.testing.assert_close(at_once.penalty(theta), one, rtol=1e-5, atol=0.0)
    assert torch.equal(loaded.penalty(theta), two)  # type: ignore[arg-type]
    for g, h in zip(
        torch.autograd.grad(one, [*theta.values()]), torch.autograd.grad(two, [*theta.values()]), strict=True
    ):
        torch.testing.assert_close(h, g, rtol=1e-4, atol=1e-6)


def test_merging_is_exact_at_a_common_centre_and_later_centres_win_without_weight() -> None:
    centre = {"a": torch.randn(6, generator=rng())}
    anchors = Anchors()
    anchors.add(centre, {"a": torch.full((6,), 3e-9)})
    anchors.add(centre, {"a": torch.full((6,), 7.0)})
    anchors.merge()
    assert torch.equal(anchors.terms[0]["centres"]["a"], centre["a"])
    assert float(anchors.penalty(centre)) == 0.0  # type: ignore[arg-type]
    anchors.hold({"a": torch.zeros(2)}, {"a": torch.zeros(2)})
    anchors.add({"a": torch.ones(2)}, {"a": torch.zeros(2)})
    anchors.merge()
    assert torch.equal(anchors.terms[0]["centres"]["a"], torch.ones(2)) and anchors.terms[0]["constant"] == 0.0


def test_anchors_keep_their_state_and_hold_only_what_they_name() -> None:
    anchors, fresh = Anchors(), Anchors()
    assert anchors.penalty({}) is None
    anchors.add({"a": torch.zeros(3)})
    theta = {"a": torch.full((3,), 2.0), "new rows": torch.full((9,), 5.0)}
    assert float(anchors.penalty(theta)) == 12.0, "weights of one"  # type: ignore[arg-type]
    anchors.add(*terms(2)[1])
    fresh.set_state(state.clone(anchors.get_state()))
    theta = {name: torch.randn(value.shape) for name, value in terms(2)[1][0].items()}
    with pytest.raises(RuntimeError):
        anchors.penalty(theta)  # "a" of another shape: never broadcast in silence
    anchors.hold(*terms(2)[1])
    fresh.set_state(state.clone(anchors.get_state()))
    assert torch.equal(fresh.penalty(theta), anchors.penalty(theta))  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        anchors.penalty({})


# ------------------------------------------------------------------------------------------------------------- Fisher


def gaussian(parameters: Parameters, x: Tensor, y: Tensor) -> Tensor:
    """- log p(y | x) of y ~ N(w x, 0.5^2), up to a constant."""
    return ((y - x @ parameters["w"]).square() / (2 * 0.25)).mean()


def test_fisher_of_a_linear_gaussian_model_is_the_analytic_one() -> None:
    count, w = 20_000, torch.tensor([0.3, -1.0, 2.0])
    x = torch.randn(count, 3, generator=rng()) * torch.tensor([1.0, 0.1, 4.0])
    y = x @ w + 0.5 * torch.randn(count, generator=rng(1))
    found = diagonal(gaussian, {"w": w}, [Batch(x, y)], "images", chunk=5000)["w"]
    empirical = ((x @ w - y)[:, None] * x / 0.25).square().mean(0)
    torch.testing.assert_close(found, empirical, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found, x.square().mean(0) / 0.25, rtol=0.06, atol=0.0)  # E[x_j^2] / sigma^2


def test_drawn_labels_give_the_fisher_of_softmax_regression() -> None:
    w, x = torch.randn(3, 4, generator=rng()), torch.randn(40, 4, generator=rng(1)).repeat(500, 1)
    logits, draw = x @ w.T, rng(2)
    labels = answers("sampled", logits, torch.zeros(len(x), dtype=torch.long), (0, 1, 2), draw)

    def loss(parameters: Parameters, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(x @ parameters["w"].T, y)

    found = diagonal(loss, {"w": w}, [Batch(x, labels)], chunk=5000)["w"]
    p = logits.softmax(1)
    expected = ((p * (1 - p))[:, :, None] * x.square()[:, None, :]).mean(0)
    torch.testing.assert_close(found, expected, rtol=0.1, atol=2e-3)
    assert torch.equal(
        answers("argmax", logits, labels, (0, 2), draw), torch.tensor([0, 2])[logits[:, [0, 2]].argmax(1)]
    )
    assert set(answers("sampled", logits, labels, (1, 2), draw).tolist()) == {1, 2}


def test_the_ways_to_sum_squares() -> None:
    """By hand, from gradients of single images, in batches of 4, 4 and 2."""
    w = torch.randn(3, generator=rng())
    x, y = torch.randn(10, 3, generator=rng(1)), torch.randn(10, generator=rng(2))
    batches = [Batch(a, b) for a, b in zip(x.split(4), y.split(4), strict=True)]
    each = (x @ w - y)[:, None] * x / 0.25
    values = (y - x @ w).square() / 0.5
    means = torch.stack([part.mean(0) for part in each.split(4)])
    expected = {
        "images": each.square().mean(0),
        "padded": each.square().sum(0) / 12,
        "batches": means.square().mean(0),
        "scaled": (torch.tensor([4.0, 4.0, 2.0])[:, None] * means.square()).sum(0) / 3,
    }
    for squares, value in expected.items():
        torch.testing.assert_close(diagonal(gaussian, {"w": w}, batches, squares, chunk=3)["w"], value)
    likely = diagonal(gaussian, {"w": w}, batches, "padded", by_probability=True)["w"]
    torch.testing.assert_close(likely, (torch.exp(-values)[:, None] * each.square()).sum(0) / 12)
    clipped = diagonal(gaussian, {"w": w}, batches, "images", clip=0.5)["w"]
    assert torch.equal(clipped, expected["images"].clamp(max=0.5)) or torch.allclose(
        clipped, expected["images"].clamp(max=0.5)
    )
    assert not diagonal(gaussian, {"w": w}, batches)["w"].requires_grad and not w.requires_grad


# ---------------------------------------------------------------------------------------------------------- avalanche


class Case:
    """A Vision Transformer with a linear head on 22 images of 5 classes, as avalanche-lib and we see it."""

    def __init__(self, seed: int = 0) -> None:
        head = nn.Linear(16, 5)
        with torch.no_grad():
            head.weight.normal_(generator=rng(seed))
        self.model = nn.Sequential(OrderedDict(backbone=tiny_backbone(seed), head=head)).requires_grad_(True)
        self.x, self.y = torch.randn(22, 3, 8, 8, generator=rng(seed)), torch.randint(5, (22,), generator=rng(seed))
        self.parameters = {name: value.detach().clone() for name, value in self.model.named_parameters()}

    def loss(self, parameters: Parameters, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(self.model, dict(parameters), (x,)), y)

    def batches(self, size: int) -> list[Batch]:
        return [Batch(x, y) for x, y in zip(self.x.split(size), self.y.split(size), strict=True)]

    def avalanche(self, plugin: Any, size: int) -> dict[str, Any]:
        data = TensorDataset(self.x, self.y, torch.zeros(22, dtype=torch.long))
        optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        found = plugin.compute_importances(
            self.model, nn.CrossEntropyLoss(), optimizer, data, torch.device("cpu"), size
        )
        self.model.eval()
        return found


@pytest.mark.parametrize(("squares", "size"), [("batches", 8), ("images", 1)])
def test_the_fisher_is_avalanches(squares: str, size: int) -> None:
    case = Case()
    theirs = case.avalanche(EWCPlugin(1.0), size)
    ours = diagonal(case.loss, case.parameters, case.batches(8), squares, chunk=5)
    assert theirs.keys() == ours.keys()
    largest = max(float(value.data.max()) for value in theirs.values())
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value.data, rtol=1e-4, atol=1e-7 * largest)
        assert bool((ours[name] >= 0).all())
    assert largest > 1e-3


@pytest.mark.parametrize("mode", ["separate", "online"])
def test_the_penalty_is_avalanches(mode: str) -> None:
    plugin = EWCPlugin(3.0, mode=mode, decay_factor=0.6 if mode == "online" else None)
    exact, merged = Anchors(), Anchors()
    old: dict[str, Tensor] = {}
    for task in range(3):
        case = Case(task)
        plugin.update_importances(case.avalanche(plugin, 8), task)
        plugin.saved_params[task] = lib_parameters(case.model)
        fisher = diagonal(case.loss, case.parameters, case.batches(8), "batches")
        if mode == "separate":
            exact.add(case.parameters, fisher)
            merged.add(case.parameters, fisher)
            merged.merge()
        else:
            old = {name: 0.6 * old.get(name, torch.zeros(())) + value for name, value in fisher.items()}
            exact.hold(case.parameters, old)
            merged.hold(case.parameters, old)
    now = Case(7)
    strategy = SimpleNamespace(
        clock=SimpleNamespace(train_exp_counter=3), device="cpu", model=now.model, loss=torch.zeros(())
    )
    plugin.before_backward(strategy)
    value = float(strategy.loss.detach())
    for anchors in (exact, merged):
        assert 3.0 * float(anchors.penalty(now.parameters)) == pytest.approx(value, rel=1e-5)  # type: ignore[arg-type]
    assert math.isfinite(value) and value > 1.0


def lib_parameters(model: nn.Module) -> dict[str, Any]:
    return {name: lib.ParamData(name, init_tensor=value.detach().clone()) for name, value in model.named_parameters()}
