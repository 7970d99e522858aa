"""SSF: scale and shift after every operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.backbone import Backbone
from cl.parts.attached.scale_shift import SITES, ScaleShift
from cl.testing import tiny_backbone
from tests.help.attached_parts import (
    assert_a_network_without_blocks_is_refused,
    assert_images_are_independent_and_states_are_restored,
    assert_the_backbone_stays_pristine_and_every_parameter_trains,
    attention,
    filled,
    images,
    rng,
)


def make(backbone: Backbone) -> ScaleShift:
    return ScaleShift(backbone, rng())


def test_the_backbone_stays_pristine_and_every_parameter_trains() -> None:
    assert_the_backbone_stays_pristine_and_every_parameter_trains(make)


def test_images_are_independent_and_states_are_restored() -> None:
    assert_images_are_independent_and_states_are_restored(make)


def test_a_network_without_blocks_is_refused() -> None:
    assert_a_network_without_blocks_is_refused(make)


def test_scale_and_shift_follow_every_operation() -> None:
    backbone, x = tiny_backbone(depth=2).double(), images()
    part, model = filled(make, backbone), cast(Any, backbone.model)

    def after(name: str) -> Callable[[Tensor], Tensor]:
        number, module = part.names.index(name), model.get_submodule(name)
        return lambda t: module(t) * part.scales[number] + part.shifts[number]

    stream = model._pos_embed(after("patch_embed")(x))
    for n, block in enumerate(model.blocks):
        at = {name: after(f"blocks.{n}.{name}") for name in SITES}
        stream = stream + attention(block.attn, at["norm1"](stream), at["attn.qkv"], at["attn.proj"])
        stream = stream + at["mlp.fc2"](F.gelu(at["mlp.fc1"](at["norm2"](stream))))
    assert torch.allclose(part(backbone, x), after("norm")(stream)[:, 0], atol=1e-10)
    assert len(part.names) == 2 + 6 * 2 and [len(part.scales[n]) for n in (2, 5, 6)] == [48, 64, 16]


def test_scales_are_drawn_around_one_and_shifts_around_zero() -> None:
    backbone = tiny_backbone(depth=6, dim=24, heads=3)
    part, x = ScaleShift(backbone, rng()), images().float()
    for values, centre in ((part.scales, 1.0), (part.shifts, 0.0)):
        drawn = torch.cat([value.detach() for value in values])
        assert abs(drawn.mean() - centre) < 0.003 and 0.018 < drawn.std() < 0.022
    assert not torch.equal(part(backbone, x), backbone(x)), "new scales and shifts are not neutral"
    with torch.no_grad():
        for scale, shift in zip(part.scales, part.shifts, strict=True):
            scale.fill_(1)
            shift.zero_()
    assert torch.equal(part(backbone, x), backbone(x))
