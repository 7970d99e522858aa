"""A learned change of the image."""

from __future__ import annotations

import pytest
import torch

from cl.backbone import load
from cl.errors import UsageError
from cl.parts.attached.input_delta import InputDelta
from cl.testing import tiny_backbone
from tests.help.attached_parts import (
    assert_images_are_independent_and_states_are_restored,
    assert_the_backbone_stays_pristine_and_every_parameter_trains,
)


def test_the_backbone_stays_pristine_and_every_parameter_trains() -> None:
    assert_the_backbone_stays_pristine_and_every_parameter_trains(lambda backbone: InputDelta(backbone, clip=False))


def test_images_are_independent_and_states_are_restored() -> None:
    assert_images_are_independent_and_states_are_restored(lambda backbone: InputDelta(backbone))


def views(count: int = 3) -> torch.Tensor:
    """Normalised images of the tiny backbone."""
    backbone = tiny_backbone()
    pixels = torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return backbone.transform(pixels)


@pytest.mark.parametrize("clip", [True, False])
def test_no_change_is_no_change(clip: bool) -> None:
    backbone, x = tiny_backbone(), views()
    delta = InputDelta(backbone, clip=clip)
    assert torch.equal(delta.changed(x), x) and torch.equal(delta(backbone, x), backbone(x))


def test_its_gradient_is_the_sum_of_the_gradients_of_the_images() -> None:
    backbone, x = tiny_backbone(), views().requires_grad_(True)
    delta = InputDelta(backbone, clip=False)
    delta.delta.requires_grad_(True)
    backbone(delta.changed(x)).square().mean().backward()
    assert x.grad is not None and delta.delta.grad is not None
    assert torch.allclose(delta.delta.grad, x.grad.sum(0), atol=1e-7)


def test_a_border_changes_a_frame_and_clipping_keeps_the_range() -> None:
    backbone, x = tiny_backbone(), views()
    delta = InputDelta(backbone, border=2)
    with torch.no_grad():
        delta.delta.fill_(100.0)
    out = delta.changed(x)
    assert torch.equal(out[..., 2:-2, 2:-2], x[..., 2:-2, 2:-2])
    white = backbone.transform(torch.full((1, 3, 8, 8), 255, dtype=torch.uint8))
    assert torch.allclose(out[..., :2, :], white[..., :2, :].expand(3, -1, -1, -1))
    with pytest.raises(UsageError, match="border=4 covers images of 8 pixels; choose at most 3"):
        InputDelta(backbone, border=4)


def test_a_grey_network_has_one_channel_of_change() -> None:
    assert InputDelta(load("mlp_2x100_28@random")).delta.shape == (1, 28, 28)
