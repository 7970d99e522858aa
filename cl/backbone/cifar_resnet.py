"""ResNets for small images: a 3 x 3 first convolution and no pooling after it; without pretrained weights."""

from __future__ import annotations

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import BasicBlock, ResNet
from torch import nn


def _config(size: int, mean: tuple[float, ...], std: tuple[float, ...]) -> dict[str, Any]:
    return {
        "input_size": (3, size, size),
        "interpolation": "bilinear",
        "crop_pct": 1.0,
        "mean": mean,
        "std": std,
        "num_classes": 0,
        "classifier": "fc",
        "first_conv": "conv1",
    }


_HALF = ((0.5,) * 3, (0.5,) * 3)

default_cfgs = generate_default_cfgs(
    {
        # CIFAR-100 statistics of few-shot papers
        "resnet18_32": _config(32, (0.5071, 0.4866, 0.4409), (0.2009, 0.1984, 0.2023)),
        # NEVIS'22: 64 px in [-1, 1]
        "resnet18_64": _config(64, *_HALF),
        "resnet34_64": _config(64, *_HALF),
    }
)


class SmallResNet(ResNet):
    """timm's ResNet with a 3 x 3 first convolution of stride 1; 32 px images give a final map of 4 x 4."""

    def __init__(self, block: Any, layers: tuple[int, ...], **kwargs: Any) -> None:
        super().__init__(block, layers, zero_init_last=False, **kwargs)
        first = nn.Conv2d(kwargs.get("in_chans", 3), 64, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")
        self.add_module("conv1", first)
        self.add_module("maxpool", nn.Identity())


def _build(name: str, layers: tuple[int, ...], pretrained: bool, kwargs: dict[str, Any]) -> ResNet:
    return build_model_with_cfg(SmallResNet, name, pretrained, **{"block": BasicBlock, "layers": layers, **kwargs})


@register_model
def resnet18_32(pretrained: bool = False, **kwargs: Any) -> ResNet:
    """ResNet-18 for 32 px images (11.2 M parameters), trained from scratch: `resnet18_32@random`."""
    return _build("resnet18_32", (2, 2, 2, 2), pretrained, kwargs)


@register_model
def resnet18_64(pretrained: bool = False, **kwargs: Any) -> ResNet:
    """ResNet-18 for 64 px images in [-1, 1] (11.2 M parameters), the small network of NEVIS'22 from scratch."""
    return _build("resnet18_64", (2, 2, 2, 2), pretrained, kwargs)


@register_model
def resnet34_64(pretrained: bool = False, **kwargs: Any) -> ResNet:
    """ResNet-34 for 64 px images in [-1, 1] (21.3 M parameters), the network of NEVIS'22 from scratch."""
    return _build("resnet34_64", (3, 4, 6, 3), pretrained, kwargs)
