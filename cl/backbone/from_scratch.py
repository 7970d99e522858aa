"""What networks without pretrained weights share: their configuration, and a head on flat features.

Images of 28 px are digits and clothes: one grey channel, with MNIST's mean and deviation. Images of 32 px have three
channels, with CIFAR-100's. `backbone.normalize` chooses other statistics.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from timm.layers import to_2tuple
from torch import Tensor, nn

GREY = ((0.1307,), (0.3081,))
"""Mean and deviation of MNIST."""

COLOUR = ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))
"""Mean and deviation of CIFAR-100."""


def configuration(size: int, *, grey: bool, head: str = "head", first: str = "", fixed: bool = True) -> dict[str, Any]:
    """timm's description of a network; `fixed`: it is built for one size, and takes another as `img_size`."""
    mean, std = GREY if grey else COLOUR
    return {
        "input_size": (len(mean), size, size), "fixed_input_size": fixed, "interpolation": "bilinear", "crop_pct": 1.0,
        "mean": mean, "std": std, "num_classes": 0, "classifier": head, "first_conv": first,
    }  # fmt: skip


class Flat(nn.Module):
    """Layers that end in features [B, num_features], then a linear head if there are classes."""

    def __init__(self, body: nn.Sequential, num_features: int, num_classes: int, *, bias: bool = True) -> None:
        super().__init__()
        self.body, self.num_features, self.num_classes = body, num_features, num_classes
        self.head = nn.Linear(num_features, num_classes, bias=bias) if num_classes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.body(x)))


def width_after(body: nn.Module, in_chans: int, img_size: int | tuple[int, int]) -> int:
    """The number of features that layers make of an image, found by a pass of one image."""
    with torch.no_grad():
        return int(body.eval()(torch.zeros(1, in_chans, *to_2tuple(img_size))).shape[1])


def he_normal(model: nn.Module) -> None:
    """Draw all weights of convolutions and linear layers from a normal distribution of variance 2 / inputs."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
