"""Anchors: quadratic penalties against formulas, and against avalanche-lib's EWC."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.avalanche import lib
from cl.parts.statistics.anchors import Anchors
from cl.parts.statistics.fisher import diagonal
from cl.training import state
from tests.help.importances import Case, rng

with lib.quiet():
    from avalanche.training.plugins import EWCPlugin


def terms(count: int) -> list[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Centres and weights. The third parameter appears in the second term, and some weights are zero."""
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
def test_merged_terms_have_the_value_and_gradient_of_their_sum(near: float) -> None:
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


def test_merging_is_exact_at_a_common_centre_and_takes_the_later_centre_without_weight() -> None:
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


def test_anchors_restore_their_state_and_penalise_named_parameters_only() -> None:
    anchors, fresh = Anchors(), Anchors()
    assert anchors.penalty({}) is None
    anchors.add({"a": torch.zeros(3)})
    theta = {"a": torch.full((3,), 2.0), "new rows": torch.full((9,), 5.0)}
    assert float(anchors.penalty(theta)) == 12.0, "weights of one"  # type: ignore[arg-type]
    anchors.add(*terms(2)[1])
    fresh.set_state(state.clone(anchors.get_state()))
    theta = {name: torch.randn(value.shape) for name, value in terms(2)[1][0].items()}
    with pytest.raises(RuntimeError):
        anchors.penalty(theta)  # "a" has another shape, which must not be broadcast
    anchors.hold(*terms(2)[1])
    fresh.set_state(state.clone(anchors.get_state()))
    assert torch.equal(fresh.penalty(theta), anchors.penalty(theta))  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        anchors.penalty({})


@pytest.mark.parametrize("mode", ["separate", "online"])
def test_the_penalty_equals_the_penalty_of_avalanche(mode: str) -> None:
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
