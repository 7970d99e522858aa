"""What networks without pretrained weights share."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cl.backbone.from_scratch import COLOUR, GREY, Flat, configuration, he_normal, width_after


def test_grey_networks_have_one_channel_and_one_mean() -> None:
    grey, colour = configuration(28, grey=True), configuration(32, grey=False, fixed=False)
    assert (grey["input_size"], grey["mean"], grey["std"]) == ((1, 28, 28), *GREY) and grey["fixed_input_size"]
    assert (colour["input_size"], colour["mean"]) == ((3, 32, 32), COLOUR[0]) and not colour["fixed_input_size"]


@pytest.mark.parametrize("bias", [True, False])
def test_a_head_is_there_if_there_are_classes(bias: bool) -> None:
    body = nn.Sequential(nn.Flatten(), nn.Linear(9, 4, bias=bias))
    x = torch.rand(3, 1, 3, 3)
    assert torch.equal(Flat(body, 4, 0)(x), body(x))
    with_head = Flat(body, 4, 5, bias=bias)
    assert with_head(x).shape == (3, 5) and (with_head.head.bias is not None) == bias


def test_the_width_is_found_without_a_draw_or_a_change_of_statistics() -> None:
    body = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten())
    torch.manual_seed(1)
    wanted = torch.rand(1)
    torch.manual_seed(1)
    assert width_after(body, 2, 5) == width_after(body, 2, (5, 5)) == 27
    assert torch.equal(torch.rand(1), wanted) and body[1].num_batches_tracked == 0


def test_he_normal_weights_have_their_variance() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(8, 64, 3), nn.Linear(300, 400))
    he_normal(model)
    weights = [weight.detach() for weight in model.parameters() if weight.ndim > 1]
    for weight, inputs in zip(weights, (72, 300), strict=True):
        assert abs(float(weight.std()) / (2 / inputs) ** 0.5 - 1) < 0.03
