"""Small networks trained from scratch, as used by papers on subnetworks of a shared network.

They have no pretrained weights: use `wsn_alexnet@random`. Convolutions and linear layers have no bias, batch norms no
scale and shift.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, cast

import torch.nn.functional as F
from timm.layers import to_2tuple
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn


def _config(mean: tuple[float, ...], std: tuple[float, ...]) -> dict[str, Any]:
    return {
        "input_size": (3, 32, 32),
        "fixed_input_size": True,
        "interpolation": "bilinear",
        "crop_pct": 1.0,
        "mean": mean,
        "std": std,
        "num_classes": 0,
        "classifier": "head",
        "first_conv": "body.conv1",
    }


_NONE = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
_CIFAR = ((125.3 / 255, 123.0 / 255, 113.9 / 255), (63.0 / 255, 62.1 / 255, 66.7 / 255))

# Input statistics of WSN's data loaders.
default_cfgs = generate_default_cfgs(
    {"wsn_alexnet": _config(*_CIFAR), "wsn_lenet": _config(*_NONE), "wsn_resnet18": _config(*_CIFAR)}
)


class _Net(nn.Module):
    """Layers, then features [B, num_features], then a linear head without bias if there are classes."""

    def __init__(self, body: nn.Module, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.body, self.num_features, self.num_classes = body, num_features, num_classes
        self.head = nn.Linear(num_features, num_classes, bias=False) if num_classes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.body(x)))


class AlexNet(_Net):
    """Three convolutions (64, 128, 256) and two linear layers (2048), each with batch norm, ReLU and dropout."""

    def __init__(self, img_size: int | tuple[int, int] = 32, in_chans: int = 3, num_classes: int = 0) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels, size = in_chans, to_2tuple(img_size)[0]
        for i, (width, kernel, dropout) in enumerate([(64, 4, 0.2), (128, 3, 0.2), (256, 2, 0.5)], 1):
            layers[f"conv{i}"] = nn.Conv2d(channels, width, kernel, bias=False)
            layers |= _after(i, nn.BatchNorm2d(width, affine=False), dropout)
            layers[f"pool{i}"] = nn.MaxPool2d(2)
            channels, size = width, (size - kernel + 1) // 2
        layers["flat"] = nn.Flatten()
        for i, inputs in enumerate([channels * size * size, 2048], 1):
            layers[f"fc{i}"] = nn.Linear(inputs, 2048, bias=False)
            layers |= _after(i + 3, nn.BatchNorm1d(2048, affine=False), 0.5)
        super().__init__(nn.Sequential(layers), 2048, num_classes)


def _after(i: int, norm: nn.Module, dropout: float) -> dict[str, nn.Module]:
    return {f"bn{i}": norm, f"relu{i}": nn.ReLU(), f"drop{i}": nn.Dropout(dropout)}


class LeNet(_Net):
    """Two 5 x 5 convolutions (20, 50) with overlapping pooling and two linear layers (800, 500), all with ReLU."""

    def __init__(self, img_size: int | tuple[int, int] = 32, in_chans: int = 3, num_classes: int = 0) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels, size = in_chans, to_2tuple(img_size)[0]
        for i, width in enumerate((20, 50), 1):
            layers[f"conv{i}"] = nn.Conv2d(channels, width, 5, padding=2, bias=False)
            layers[f"relu{i}"] = nn.ReLU()
            layers[f"pool{i}"] = nn.MaxPool2d(3, 2, padding=1)
            channels, size = width, (size + 1) // 2
        layers["flat"] = nn.Flatten()
        for i, (inputs, width) in enumerate([(channels * size * size, 800), (800, 500)], 1):
            layers |= {f"fc{i}": nn.Linear(inputs, width, bias=False), f"relu{i + 2}": nn.ReLU()}
        super().__init__(nn.Sequential(layers), 500, num_classes)


class _Block(nn.Module):
    """Two 3 x 3 convolutions and a shortcut, which is a 1 x 1 convolution if the shape changes."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width, affine=False)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width, affine=False)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != width:
            self.shortcut.append(nn.Conv2d(channels, width, 1, stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(width, affine=False))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.shortcut(x))


class ResNet18(_Net):
    """ResNet-18 of base width 20: a 3 x 3 stem of stride 1, eight blocks, and pooling to a map of 2 x 2."""

    def __init__(
        self, img_size: int | tuple[int, int] = 32, in_chans: int = 3, num_classes: int = 0, width: int = 20
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["conv1"] = nn.Conv2d(in_chans, width, 3, 1, 1, bias=False)
        layers |= {"bn1": nn.BatchNorm2d(width, affine=False), "relu1": nn.ReLU()}
        channels, size = width, to_2tuple(img_size)[0]
        for i in range(4):
            out, stride = width << i, 1 if i == 0 else 2
            layers[f"layer{i + 1}"] = nn.Sequential(_Block(channels, out, stride), _Block(out, out, 1))
            channels, size = out, -(-size // stride)
        layers |= {"pool": nn.AvgPool2d(2), "flat": nn.Flatten()}
        super().__init__(nn.Sequential(layers), channels * (size // 2) ** 2, num_classes)


@register_model
def wsn_alexnet(pretrained: bool = False, **kwargs: Any) -> AlexNet:
    """AlexNet for 32 px: three convolutions and two linear layers with batch norm and dropout (6.5 M weights)."""
    return build_model_with_cfg(AlexNet, "wsn_alexnet", pretrained, **kwargs)


@register_model
def wsn_lenet(pretrained: bool = False, **kwargs: Any) -> LeNet:
    """LeNet 20-50-800-500 for 32 px (3.0 M weights)."""
    return build_model_with_cfg(LeNet, "wsn_lenet", pretrained, **kwargs)


@register_model
def wsn_resnet18(pretrained: bool = False, **kwargs: Any) -> ResNet18:
    """ResNet-18 of base width 20 for 32 px (1.1 M weights), 640 features."""
    return build_model_with_cfg(ResNet18, "wsn_resnet18", pretrained, **kwargs)
