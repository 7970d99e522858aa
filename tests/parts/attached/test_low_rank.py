"""Low-rank additions: the layers they change, their start, and the backbones they do not fit."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from cl.backbone import load
from cl.errors import UsageError
from cl.parts.attached import LowRank
from cl.parts.attached.low_rank import LAYERS
from cl.testing import tiny_backbone
from tests.help.attached_parts import (
    assert_the_backbone_stays_pristine_and_every_parameter_trains,
    draw,
    filled,
    images,
)


def test_a_new_set_changes_nothing_and_starts_with_the_top_right_singular_vectors() -> None:
    backbone = tiny_backbone(depth=2)
    part, x = LowRank(backbone, 3), images().float()
    assert torch.equal(part(backbone, x), backbone(x))
    assert part.names == [f"blocks.{block}.{layer}" for block in range(2) for layer in LAYERS]
    for name, a, b in zip(part.names, part.a, part.b, strict=True):
        weight = backbone.model.get_parameter(f"{name}.weight").detach().numpy()
        top = np.linalg.svd(weight)[2][:3]
        assert np.allclose(np.abs(a.numpy() @ top.T), np.eye(3), atol=1e-4), "equal up to signs"
        assert b.shape == (len(weight), 3) and not b.any()


def test_the_features_are_those_of_a_model_with_the_product_in_its_weights() -> None:
    backbone = tiny_backbone(depth=2).double()
    part = filled(lambda given: LowRank(given, 2, scale=0.7), backbone)
    changed = copy.deepcopy(backbone)
    with torch.no_grad():
        for name, a, b in zip(part.names, part.a, part.b, strict=True):
            layer = changed.model.get_submodule(name)
            assert isinstance(layer, nn.Linear)
            layer.weight += 0.7 * b @ a
    assert torch.allclose(part(backbone, images()), changed(images()), atol=1e-10)
    assert not torch.allclose(backbone(images()), changed(images()), atol=1e-3)


def test_the_backbone_stays_pristine() -> None:
    assert_the_backbone_stays_pristine_and_every_parameter_trains(lambda backbone: LowRank(backbone, 2))


def test_features_are_memoised_until_a_parameter_changes() -> None:
    backbone = tiny_backbone()
    part = LowRank(backbone, 2)
    key = part.extractor(backbone).key
    assert part.extractor(backbone).key == key != backbone.key
    with torch.no_grad():
        part.b[0].add_(draw(*part.b[0].shape).float())
    assert part.extractor(backbone).key != key


def test_a_rank_above_the_number_of_singular_values_is_refused() -> None:
    with pytest.raises(UsageError, match=r"rank=17 exceeds the 16 singular values of blocks.0.attn.qkv .* at most 16"):
        LowRank(tiny_backbone(dim=16), 17)


def test_another_architecture_is_refused() -> None:
    with pytest.raises(UsageError, match="choose a timm Vision Transformer"):
        LowRank(load("resnet18@random"), 2)
