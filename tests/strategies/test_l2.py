"""L2: the penalty, its anchors, and which weights it holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.strategies.finetune import Finetune
from cl.strategies.l2 import L2
from cl.testing import tiny_backbone
from cl.training import state
from tests.conftest import make, tiny_stream
from tests.help.compare import same

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 1, "batch_size": 16, "lr": 0.05, "augment": "crop-flip"}


def tensors(learner: Any) -> dict[str, Tensor]:
    """A copy of everything that is trained, by name."""
    head = {f"head.{name}": value for name, value in learner.head.named_parameters()}
    return state.clone(dict(learner.backbone.model.state_dict()) | head)


def pretrained() -> dict[str, Tensor]:
    return state.clone(dict(tiny_backbone().model.state_dict()))


def gap(one: dict[str, Tensor], two: dict[str, Tensor]) -> float:
    """Largest distance of the tensors of `one`."""
    return max(float((value - two[name]).abs().max()) for name, value in one.items())


@pytest.mark.parametrize("anchor", ["previous", "initial"])
def test_without_weight_it_is_finetune_bit_for_bit(learn: Learn, anchor: str) -> None:
    learner, baseline = make(L2, **FAST, reg=0.0, anchor=anchor), make(Finetune, **FAST)
    with_penalty = make(L2, **FAST, reg=0.1, anchor=anchor)
    for each in (learner, baseline, with_penalty):
        learn(each, tiny_stream(), 2)
    assert same(tensors(learner), tensors(baseline))
    assert not same(tensors(with_penalty), tensors(baseline))


def test_the_first_task_is_held_near_the_pretrained_weights_unless_free(learn: Learn) -> None:
    baseline, free, held = make(Finetune, **FAST), make(L2, **FAST, anchor="learned"), make(L2, **FAST)
    for each in (baseline, free, held):
        learn(each, tiny_stream(), 1)
    assert same(tensors(free), tensors(baseline)) and not same(tensors(held), tensors(baseline))
    assert len(free.anchors) == 1, "held from the second task on"


def test_an_infinite_weight_freezes_the_backbone_and_not_the_head(learn: Learn) -> None:
    """The rate of the backbone is such that a step of the penalty returns to the anchor: 2 rate reg = 1."""
    drift = []
    for reg in (10.0, 1e8):
        learner = make(L2, **FAST, momentum=0.0, reg=reg, backbone_lr_scale=1 / (2 * reg * FAST["lr"]))
        learn(learner, tiny_stream(), 2)
        drift.append(gap(pretrained(), tensors(learner)))
    assert drift[0] > 1e-4 and drift[1] < 1e-8
    frozen, untrained = (
        make(Finetune, **FAST, momentum=0.0, backbone_lr_scale=0.0),
        make(Finetune, **FAST | {"lr": 1e-12}),
    )
    for each in (frozen, untrained):
        learn(each, tiny_stream(), 2)
    heads = [torch.cat(each.head.get_state()["weights"]) for each in (learner, frozen, untrained)]
    torch.testing.assert_close(heads[0], heads[1], atol=1e-6, rtol=1e-5)
    assert float((heads[0] - heads[2]).abs().max()) > 1e-3, "the head still learns"


def test_the_penalty_is_exactly_zero_at_the_first_step_of_each_task(learn: Learn) -> None:
    seen: dict[int, list[float]] = {}

    class Watched(L2):
        def penalty(self) -> Tensor | None:
            value = super().penalty()
            assert value is not None
            seen.setdefault(len(self.head.blocks), []).append(float(value.detach()))
            return value

    learn(make(Watched, **FAST, reg=3.0), tiny_stream(), 3)
    assert sorted(seen) == [1, 2, 3]
    assert all(values[0] == 0.0 and max(values[1:]) > 0 for values in seen.values())


def test_the_gradient_of_the_penalty_is_two_lambda_times_the_distance(learn: Learn) -> None:
    learner = make(L2, **FAST, reg=0.7)
    learn(learner, tiny_stream(), 1)
    anchors = state.clone(learner.anchors.terms[0]["centres"])
    parameters = learner.tuned()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.add_(torch.randn(parameter.shape, generator=generator))
            parameter.requires_grad_(True)
    penalty = learner.penalty()
    assert penalty is not None
    penalty.backward()
    distance = {name: parameter.detach() - anchors[name] for name, parameter in parameters.items()}
    for name, parameter in parameters.items():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, 2 * 0.7 * distance[name], atol=1e-6, rtol=1e-6)
    squares = sum(float(value.double().square().sum()) for value in distance.values())
    assert float(penalty.detach()) == pytest.approx(0.7 * squares, rel=1e-5), "a sum: no mean, no 1/2"
    assert all(parameter.grad is None for parameter in learner.head.parameters())


def test_projections_only_leaves_every_other_tensor_bit_identical(learn: Learn) -> None:
    learner = make(L2, **FAST, trains="qkv", weight_decay=0.1)
    before = pretrained()
    learn(learner, tiny_stream(), 2)
    after = tensors(learner)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {f"blocks.{i}.attn.qkv.{kind}" for i in (0, 1) for kind in ("weight", "bias")}
    assert set(learner.anchors.terms[0]["centres"]) == changed
    assert learner.stored()["statistics"] == sum(4 * before[name].numel() for name in changed)


def test_anchors_are_the_weights_after_the_task_or_the_pretrained_ones(learn: Learn) -> None:
    before = pretrained()
    previous, initial = make(L2, **FAST), make(L2, **FAST, anchor="initial")

    def held(learner: L2, view: Any) -> bool:
        assert len(learner.anchors) == 1
        expected = before if learner is initial else tensors(learner)
        return all(torch.equal(expected[name], value) for name, value in learner.anchors.terms[0]["centres"].items())

    assert learn(previous, tiny_stream(), 3, held) == [True] * 3
    assert learn(initial, tiny_stream(), 3, held) == [True] * 3
    assert gap(before, tensors(initial)) < gap(before, tensors(previous)), "one drifts, the other does not"


def test_nothing_to_hold_raises_one_clear_sentence() -> None:
    with pytest.raises(UsageError, match=r"trains=head trains nothing of backbone .*; set trains=all"):
        make(L2, **FAST, trains="head").setup(tiny_stream().info)


def test_presets() -> None:
    plan = make_plan("l2", "split-cifar100", "vit_base_patch16_224.augreg_in1k", preset="l2-attn")
    assert plan.options.trains == "qkv" and plan.options.weight_decay == 0.0
    assert not make_plan("l2", "split-digits").untuned
