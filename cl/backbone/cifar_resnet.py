"""ResNets for small images: a 3 x 3 first convolution and no pooling after it; without pretrained weights."""

from __future__ import annotations

import math
from typing import Any

import torch.nn.functional as F
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import BasicBlock, ResNet
from torch import Tensor, nn


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
_CIFAR = ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))

default_cfgs = generate_default_cfgs(
    {
        # CIFAR-100 statistics of few-shot papers
        "resnet18_32": _config(32, (0.5071, 0.4866, 0.4409), (0.2009, 0.1984, 0.2023)),
        # CIFAR-100 statistics of PyCIL
        "resnet20_cifar": _config(32, *_CIFAR),
        "resnet32_cifar": _config(32, *_CIFAR),
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


class _Block(nn.Module):
    """Two 3 x 3 convolutions and a shortcut without weights: every second pixel, and zeros for the added channels."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride, self.added = stride, width - channels

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        if self.added or self.stride > 1:
            shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + shortcut)


class CifarResNet(nn.Module):
    """The ResNet for CIFAR of He et al. (2016), section 4.2: 6 n + 2 layers, 16, 32 and 64 channels, shortcuts A.

    Weights are drawn as there: normal, of variance 2 / (9 * output channels). Features are the mean of the last map.
    """

    def __init__(self, blocks: int, in_chans: int = 3, num_classes: int = 0) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(in_chans, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        stages, channels = [], 16
        for width in (16, 32, 64):
            first = _Block(channels, width, 1 if width == channels else 2)
            stages.append(nn.Sequential(first, *(_Block(width, width, 1) for _ in range(blocks - 1))))
            channels = width
        self.stages = nn.Sequential(*stages)
        self.num_features, self.num_classes = channels, num_classes
        self.fc = nn.Linear(channels, num_classes) if num_classes else nn.Identity()
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=math.sqrt(2 / (9 * layer.out_channels)))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.stages(F.relu(self.bn1(self.conv1(x)))).mean((2, 3)))
        return logits


@register_model
def resnet20_cifar(pretrained: bool = False, **kwargs: Any) -> CifarResNet:
    """ResNet-20 of He et al. for CIFAR (0.27 M parameters), 64 features, trained from scratch."""
    return build_model_with_cfg(CifarResNet, "resnet20_cifar", pretrained, **{"blocks": 3, **kwargs})


@register_model
def resnet32_cifar(pretrained: bool = False, **kwargs: Any) -> CifarResNet:
    """ResNet-32 of He et al. for CIFAR (0.46 M parameters), 64 features, from scratch: `resnet32_cifar@random`."""
    return build_model_with_cfg(CifarResNet, "resnet32_cifar", pretrained, **{"blocks": 5, **kwargs})
