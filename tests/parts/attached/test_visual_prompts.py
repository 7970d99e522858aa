"""Visual prompts, deep and shallow."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor

from cl.backbone import Backbone
from cl.parts.attached.visual_prompts import VisualPrompts
from cl.testing import tiny_backbone
from tests.help.attached_parts import (
    Make,
    assert_a_network_without_blocks_is_refused,
    assert_images_are_independent_and_states_are_restored,
    assert_the_backbone_stays_pristine_and_every_parameter_trains,
    attention,
    filled,
    images,
)


def shallow(backbone: Backbone) -> VisualPrompts:
    return VisualPrompts(backbone, 3, deep=False)


def deep(backbone: Backbone) -> VisualPrompts:
    return VisualPrompts(backbone, 3, deep=True)


@pytest.mark.parametrize("make", [deep, shallow])
def test_the_backbone_stays_pristine_and_every_parameter_trains(make: Make) -> None:
    assert_the_backbone_stays_pristine_and_every_parameter_trains(make)


@pytest.mark.parametrize("make", [deep, shallow])
def test_images_are_independent_and_states_are_restored(make: Make) -> None:
    assert_images_are_independent_and_states_are_restored(make)


@pytest.mark.parametrize("make", [deep, shallow])
def test_a_network_without_blocks_is_refused(make: Make) -> None:
    assert_a_network_without_blocks_is_refused(make)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("make", [deep, shallow])
def test_prompts_are_appended_and_removed_again(make: Make, depth: int) -> None:
    backbone, x = tiny_backbone(depth=depth).double(), images()
    part, model = filled(make, backbone), cast(Any, backbone.model)
    stream = model._pos_embed(model.patch_embed(x))
    own = stream.shape[1]
    for n, block in enumerate(model.blocks):
        if make is deep or n == 0:
            stream = torch.cat([stream, part.tokens[n].expand(len(x), -1, -1)], 1)
        stream = stream + attention(block.attn, block.norm1(stream), block.attn.qkv, block.attn.proj)
        stream = stream + block.mlp(block.norm2(stream))
        if make is deep or n == depth - 1:
            stream = stream[:, :own]
    assert torch.allclose(part(backbone, x), model.norm(stream)[:, 0], atol=1e-10)
    assert part.tokens.shape == (depth if make is deep else 1, 3, 16)


@pytest.mark.parametrize("make", [deep, shallow])
def test_new_prompts_are_zero_and_still_change_attention(make: Make) -> None:
    backbone, x = tiny_backbone().double(), images()
    part: Any = make(backbone).double()
    assert not part.tokens.any() and not torch.allclose(part(backbone, x), backbone(x), atol=1e-6)


def test_prompts_are_removed_before_tokens_are_averaged() -> None:
    backbone, x = tiny_backbone(depth=2).double(), images()
    cast(Any, backbone.model).global_pool = "avg"
    part = filled(shallow, backbone)
    tokens: list[Tensor] = []
    cast(Any, backbone.model).norm.register_forward_hook(lambda module, args, out: tokens.append(out))
    part(backbone, x)
    assert tokens[0].shape[1] == 5
