"""Changes of weights behind gates: shut gates leave the network as it is, gradients reach changes and scores."""

from __future__ import annotations

import torch
from torch import Tensor

from cl.parts.weights import GatedChanges, maskable
from cl.testing import tiny_backbone
from tests.help.attached_parts import images
from tests.help.backbones import conv_backbone


def moved(part: GatedChanges, *scores: float) -> GatedChanges:
    """The part with drawn changes, and with these scores."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for change in part.changes:
            change.copy_(0.1 * torch.randn(change.shape, generator=generator))
        for score, value in zip(part.scores, scores, strict=False):
            score.fill_(value)
    return part


def test_new_parts_and_shut_gates_change_nothing_bit_for_bit() -> None:
    backbone, x = tiny_backbone(), images().float()
    part = GatedChanges(backbone)
    assert part.names == maskable(backbone) and part.active == list(part.names)
    assert torch.equal(part(backbone, x), backbone(x))
    shut = moved(part, *[0.0999] * len(part.names))
    assert torch.equal(shut(backbone, x), backbone(x)) and shut.active == [] and shut.kept() == {}
    assert not torch.equal(moved(part, 0.1)(backbone, x), backbone(x)), "a score at the threshold opens the gate"
    assert backbone.is_pristine


def test_open_gates_add_their_changes() -> None:
    backbone = conv_backbone()
    part = moved(GatedChanges(backbone, free=("bn2.weight",)), 0.5, 0.0, 0.5)
    found, kept = part.tensors(backbone), part.kept()
    assert part.active == ["conv1.weight", "fc.weight"]
    assert list(kept) == ["conv1.weight", "fc.weight", "bn2.weight"]
    for name, tensor in found.items():
        weight = backbone.model.get_parameter(name)
        assert torch.equal(tensor, weight + kept[name] if name in kept else weight), name
    before: Tensor = kept["fc.weight"].clone()
    with torch.no_grad():
        part.changes[2].add_(1)
    assert torch.equal(kept["fc.weight"], before), "copies"


def test_gradients_are_those_of_the_straight_through_gate() -> None:
    backbone, x = conv_backbone(), images().float()
    part = moved(GatedChanges(backbone), 0.5, 0.0, 0.5)
    for parameter in part.parameters():
        parameter.requires_grad_(True)
    tensors = part.tensors(backbone)
    for tensor in tensors.values():
        tensor.retain_grad()
    (torch.func.functional_call(backbone.model, tensors, (x,)) ** 2).sum().backward()
    for number, name in enumerate(part.names):
        grad = tensors[name].grad
        assert grad is not None
        change, score = part.changes[number], part.scores[number]
        assert change.grad is not None and score.grad is not None
        assert torch.equal(change.grad, grad * (score >= 0.1))
        torch.testing.assert_close(score.grad, (grad * change).sum(), rtol=1e-5, atol=1e-5)
