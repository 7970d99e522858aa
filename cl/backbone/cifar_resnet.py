"""ResNet-18 for small images: the usual one with a 3 x 3 first convolution and no pooling after it; has no weights."""

from __future__ import annotations

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import BasicBlock, ResNet
from torch import nn

default_cfgs = generate_default_cfgs(
    {
        "resnet18_32": {
            "input_size": (3, 32, 32),
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            # as few-shot papers normalise CIFAR-100
            "mean": (0.5071, 0.4866, 0.4409),
            "std": (0.2009, 0.1984, 0.2023),
            "num_classes": 0,
            "classifier": "fc",
            "first_conv": "conv1",
        }
    }
)


class SmallResNet(ResNet):
    """timm's ResNet whose first convolution is 3 x 3 at stride 1, so that 32 px end as a map of 4 x 4."""

    def __init__(self, block: Any, layers: tuple[int, ...], **kwargs: Any) -> None:
        super().__init__(block, layers, zero_init_last=False, **kwargs)
        first = nn.Conv2d(kwargs.get("in_chans", 3), 64, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")
        self.add_module("conv1", first)
        self.add_module("maxpool", nn.Identity())


@register_model
def resnet18_32(pretrained: bool = False, **kwargs: Any) -> ResNet:
    """ResNet-18 for 32 px images (11.2 M parameters), trained from scratch: `resnet18_32@random`."""
    settings = {"block": BasicBlock, "layers": (2, 2, 2, 2)}
    return build_model_with_cfg(SmallResNet, "resnet18_32", pretrained, **{**settings, **kwargs})
