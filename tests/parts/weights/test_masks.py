"""Scores of weights, and the masks that they choose."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cl.errors import UsageError
from cl.parts.weights.lend import under
from cl.parts.weights.masks import Scores, TaskMasks, best, maskable, pack, straight_through, unpack
from cl.testing import tiny_backbone
from tests.help.backbones import conv_backbone


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 6, seed: int = 1) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=generator(seed))


@pytest.mark.parametrize("share", [0.03, 0.05, 0.1, 0.3, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("count", [1, 2, 7, 100, 1001])
def test_the_mask_keeps_n_minus_k_plus_one_weights_with_the_largest_scores(share: float, count: int) -> None:
    scores = torch.randn(count, generator=generator(count))
    k = 1 + round((1 - share) * (count - 1))
    kept = best(scores, share)
    assert int(kept.sum()) == count - k + 1
    assert kept.all() or scores[kept].abs().min() > scores[~kept].abs().max()


def test_scores_are_compared_by_absolute_value_and_ties_are_kept() -> None:
    assert best(torch.tensor([-3.0, 2.0, -1.0, 0.5]), 1 / 3).tolist() == [True, True, False, False]
    assert best(torch.tensor([1.0, -1.0, 1.0, 0.0]), 0.3).tolist() == [True, True, True, False]


def test_gradients_pass_straight_through() -> None:
    """grad s = sign(s) theta grad W, and grad theta = m grad W, for a linear layer."""
    backbone = tiny_backbone()
    scores = Scores(backbone, generator(), ["blocks.0.mlp.fc1.weight"])
    (weight,), (s,) = scores.weights(backbone), scores.values
    weight.requires_grad_(True)
    s.requires_grad_(True)
    (mask,) = scores.choose(0.3)
    product = weight * mask
    product.retain_grad()
    under(backbone, {scores.names[0]: product}, images()).square().sum().backward()
    assert product.grad is not None and weight.grad is not None and s.grad is not None
    assert product.grad.abs().min() > 0, "every weight must have a gradient, or the test proves nothing"
    assert torch.equal(s.grad, s.detach().sign() * weight.detach() * product.grad)
    assert torch.equal(weight.grad, mask.detach() * product.grad)
    assert torch.equal(mask.detach(), best(s, 0.3).float())


def test_straight_through_gives_exactly_the_mask_for_any_scores() -> None:
    scores = torch.randn(1000, generator=generator()) * 1e4
    mask = torch.rand(1000, generator=generator(2))
    assert torch.equal(straight_through(mask, scores), mask)


def test_convolutions_and_linear_layers_are_masked() -> None:
    assert maskable(conv_backbone()) == ("conv1.weight", "conv2.weight", "fc.weight")
    names = maskable(tiny_backbone(depth=2))
    assert len(names) == 8 and all(name.startswith("blocks.") for name in names)
    assert {name.removesuffix(".weight").split(".", 2)[2] for name in names} == {
        *("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    }
    none = conv_backbone()
    none.model.conv1 = none.model.conv2 = none.model.fc = nn.Identity()
    with pytest.raises(UsageError, match="no layers whose weights can be masked"):
        maskable(none)


@pytest.mark.parametrize("make", [conv_backbone, tiny_backbone])
def test_a_masked_pass_equals_the_pass_of_a_model_with_zeros(make: Any) -> None:
    backbone = make()
    scores = Scores(backbone, generator())
    scores.choose(0.4)
    zeroed = copy.deepcopy(backbone)
    for name, mask in zip(scores.names, scores.masks, strict=True):
        zeroed.model.get_parameter(name).data[~mask] = 0
    before = copy.deepcopy(backbone.state_dict())
    found = scores(backbone, images(), scores.masks)
    assert torch.equal(found, zeroed(images())) and not torch.equal(found, backbone(images()))
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    assert backbone.is_pristine


def test_scores_are_drawn_like_weights_and_from_the_generator_only() -> None:
    backbone = conv_backbone()
    one, two = Scores(backbone, generator(3)), Scores(backbone, generator(3))
    for a, b, weight in zip(one.values, two.values, one.weights(backbone), strict=True):
        bound = 1 / math.sqrt(weight[0].numel())  # kaiming uniform with a = sqrt 5
        assert torch.equal(a, b) and a.shape == weight.shape
        assert -bound <= float(a.min()) < -0.8 * bound and 0.8 * bound < float(a.max()) <= bound
    assert not one.training and not any(value.requires_grad for value in one.values)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 1000])
def test_packed_masks_are_unpacked_exactly(count: int) -> None:
    mask = torch.rand(count, generator=generator(count)) < 0.4
    packed = pack(mask)
    assert packed.dtype == torch.uint8 and len(packed) == -(-count // 8)
    assert torch.equal(unpack(packed, mask.shape), mask)
    assert packed.tolist() == np.packbits(mask.numpy(), bitorder="little").tolist()


def test_masks_of_tasks_and_their_union() -> None:
    shapes = [torch.Size((3, 5)), torch.Size((2, 2, 2))]
    masks = TaskMasks(shapes)
    given = [[torch.rand(shape, generator=generator(task)) < 0.3 for shape in shapes] for task in range(3)]
    assert masks.density == 0 and not any(taken.any() for taken in masks.union())
    for task in given:
        masks.add(task)
    assert all(torch.equal(a, b) for task in range(3) for a, b in zip(masks[task], given[task], strict=True))
    union = [given[0][i] | given[1][i] | given[2][i] for i in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(masks.union(), union, strict=True))
    assert masks.density == sum(int(taken.sum()) for taken in union) / 23
    other = TaskMasks(shapes)
    other.set_state(masks.get_state())
    assert len(other) == 3 and all(torch.equal(a, b) for a, b in zip(other[1], masks[1], strict=True))
