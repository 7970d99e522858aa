"""Residual networks for 32 px without pretrained weights: reduced, wide, and without global average pooling.

`nogap` in a name: the features are the whole last map of 4 x 4 instead of its mean, sixteen times as many.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch.nn.functional as F
from timm.layers import to_2tuple
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import Tensor, nn

from cl.backbone.cifar_resnet import SmallResNet
from cl.backbone.from_scratch import Flat, configuration, width_after

_FLEXIBLE = ("resnet34_32", "resnet50_32")  # they average maps of any size
_FIXED = (
    "resnet18_32_nogap",
    "resnet18_x20_32",
    "resnet18_x20_32_nogap",
    "resnet18_tag_32",
    "wide_resnet10_2_32",
    "wide_resnet10_10_32",
    "wide_resnet16_2_32",
    "wide_resnet16_10_32",
    "wide_resnet28_2_32",
    "wide_resnet28_10_32",
)

_configurations: dict[str, Any] = {
    name: configuration(32, grey=False, head="fc", first="conv1", fixed=False) for name in _FLEXIBLE
} | {name: configuration(32, grey=False) for name in _FIXED}
default_cfgs = generate_default_cfgs(_configurations)

Size = int | tuple[int, int]


class FlatResNet(SmallResNet):
    """`SmallResNet` whose features are the last map, not its mean."""

    def __init__(self, block: Any, layers: tuple[int, ...], img_size: Size = 32, **kwargs: Any) -> None:
        classes = kwargs.pop("num_classes", 0)
        super().__init__(block, layers, num_classes=0, **kwargs)
        self.add_module("global_pool", nn.Flatten(1))
        self.num_features = self.head_hidden_size = self.num_features * (-(-to_2tuple(img_size)[0] // 8)) ** 2
        self.num_classes = classes
        self.add_module("fc", nn.Linear(self.num_features, classes) if classes else nn.Identity())


class _Double(nn.Module):
    """Two 3 x 3 convolutions with batch norms; the shortcut is a 1 x 1 convolution with one if the shape changes."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != width:
            self.shortcut.append(nn.Conv2d(channels, width, 1, stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.shortcut(x))


class _Single(nn.Module):
    """TAG's block: one 3 x 3 convolution, and batch norms after the activations; the shortcut has no norm."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != width:
            self.shortcut.append(nn.Conv2d(channels, width, 1, stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.bn2(F.relu(self.bn1(F.relu(self.conv1(x))) + self.shortcut(x)))


class ReducedResNet(Flat):
    """ResNet-18 with `width` instead of 64 channels in its first stage, and a 3 x 3 stem of stride 1.

    The network of GEM, A-GEM and many papers on replay (20 channels). `single` is its variant in TAG's code.
    """

    def __init__(
        self, width: int = 20, gap: bool = True, single: bool = False, img_size: Size = 32, in_chans: int = 3,
        num_classes: int = 0,
    ) -> None:  # fmt: skip
        block = _Single if single else _Double
        layers: OrderedDict[str, nn.Module] = OrderedDict(conv1=nn.Conv2d(in_chans, width, 3, 1, 1, bias=False))
        layers |= {"bn1": nn.BatchNorm2d(width), "act1": nn.ReLU()}
        channels = width
        for i in range(4):
            out = width << i
            layers[f"layer{i + 1}"] = nn.Sequential(block(channels, out, 1 if i == 0 else 2), block(out, out, 1))
            channels = out
        if gap:
            layers["gap"] = nn.AdaptiveAvgPool2d(1)
        layers["flat"] = nn.Flatten()
        body = nn.Sequential(layers)
        super().__init__(body, width_after(body, in_chans, img_size), num_classes)


class _Wide(nn.Module):
    """Norm, ReLU and 3 x 3 convolution, twice; a 1 x 1 shortcut starts after the first ReLU if the shape changes."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(channels), nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(width), nn.Conv2d(width, width, 3, 1, 1, bias=False)
        changes = stride != 1 or channels != width
        self.shortcut = nn.Conv2d(channels, width, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.bn1(x))
        around = x if self.shortcut is None else self.shortcut(active)
        changed: Tensor = self.conv2(F.relu(self.bn2(self.conv1(active)))) + around
        return changed


class WideResNet(Flat):
    """The Wide ResNet of Zagoruyko & Komodakis (2016): 6 n + 4 layers, 16, 32 and 64 channels times `width`."""

    def __init__(self, depth: int, width: int, img_size: Size = 32, in_chans: int = 3, num_classes: int = 0) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict(conv1=nn.Conv2d(in_chans, 16, 3, 1, 1, bias=False))
        channels = 16
        for i in range(3):
            out, blocks = (16 << i) * width, (depth - 4) // 6
            first = _Wide(channels, out, 1 if i == 0 else 2)
            layers[f"layer{i + 1}"] = nn.Sequential(first, *(_Wide(out, out, 1) for _ in range(blocks - 1)))
            channels = out
        layers |= {"bn": nn.BatchNorm2d(channels), "act": nn.ReLU()}
        layers |= {"gap": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten()}
        super().__init__(nn.Sequential(layers), channels, num_classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


def _reduced(name: str, pretrained: bool, kwargs: dict[str, Any], **shape: Any) -> ReducedResNet:
    return build_model_with_cfg(ReducedResNet, name, pretrained, **{**shape, **kwargs})


def _wide(name: str, pretrained: bool, kwargs: dict[str, Any], depth: int, width: int) -> WideResNet:
    return build_model_with_cfg(WideResNet, name, pretrained, **{"depth": depth, "width": width, **kwargs})


@register_model
def resnet34_32(pretrained: bool = False, **kwargs: Any) -> ResNet:
    """ResNet-34 for 32 px images (21.3 M parameters, 512 features)."""
    shape = {"block": BasicBlock, "layers": (3, 4, 6, 3)}
    return build_model_with_cfg(SmallResNet, "resnet34_32", pretrained, **{**shape, **kwargs})


@register_model
def resnet50_32(pretrained: bool = False, **kwargs: Any) -> ResNet:
    """ResNet-50 for 32 px images (23.5 M parameters, 2,048 features)."""
    shape = {"block": Bottleneck, "layers": (3, 4, 6, 3)}
    return build_model_with_cfg(SmallResNet, "resnet50_32", pretrained, **{**shape, **kwargs})


@register_model
def resnet18_32_nogap(pretrained: bool = False, **kwargs: Any) -> FlatResNet:
    """ResNet-18 without global average pooling for 32 px (11.2 M parameters, 8,192 features)."""
    shape = {"block": BasicBlock, "layers": (2, 2, 2, 2)}
    return build_model_with_cfg(FlatResNet, "resnet18_32_nogap", pretrained, **{**shape, **kwargs})


@register_model
def resnet18_x20_32(pretrained: bool = False, **kwargs: Any) -> ReducedResNet:
    """Reduced ResNet-18 of 20 channels for 32 px (1.1 M parameters, 160 features), as in GEM and A-GEM."""
    return _reduced("resnet18_x20_32", pretrained, kwargs)


@register_model
def resnet18_x20_32_nogap(pretrained: bool = False, **kwargs: Any) -> ReducedResNet:
    """Reduced ResNet-18 of 20 channels without global average pooling, for 32 px (1.1 M parameters, 2,560 features)."""
    return _reduced("resnet18_x20_32_nogap", pretrained, kwargs, gap=False)


@register_model
def resnet18_tag_32(pretrained: bool = False, **kwargs: Any) -> ReducedResNet:
    """Reduced ResNet-18 of TAG's code for 32 px (0.48 M parameters, 160 features): one convolution per block."""
    return _reduced("resnet18_tag_32", pretrained, kwargs, single=True)


@register_model
def wide_resnet10_2_32(pretrained: bool = False, **kwargs: Any) -> WideResNet:
    """Wide ResNet-10-2 for 32 px (0.30 M parameters, 128 features)."""
    return _wide("wide_resnet10_2_32", pretrained, kwargs, 10, 2)


@register_model
def wide_resnet10_10_32(pretrained: bool = False, **kwargs: Any) -> WideResNet:
    """Wide ResNet-10-10 for 32 px (7.4 M parameters, 640 features)."""
    return _wide("wide_resnet10_10_32", pretrained, kwargs, 10, 10)


@register_model
def wide_resnet16_2_32(pretrained: bool = False, **kwargs: Any) -> WideResNet:
    """Wide ResNet-16-2 for 32 px (0.69 M parameters, 128 features)."""
    return _wide("wide_resnet16_2_32", pretrained, kwargs, 16, 2)


@register_model
def wide_resnet16_10_32(pretrained: bool = False, **kwargs: Any) -> WideResNet:
    """Wide ResNet-16-10 for 32 px (17.1 M parameters, 640 features)."""
    return _wide("wide_resnet16_10_32", pretrained, kwargs, 16, 10)


@register_model
def wide_resnet28_2_32(pretrained: bool = False, **kwargs: Any) -> WideResNet:
    """Wide ResNet-28-2 for 32 px (1.5 M parameters, 128 features)."""
    return _wide("wide_resnet28_2_32", pretrained, kwargs, 28, 2)


@register_model
def wide_resnet28_10_32(pretrained: bool = False, **kwargs: Any) -> WideResNet:
    """Wide ResNet-28-10 for 32 px (36.5 M parameters, 640 features)."""
    return _wide("wide_resnet28_10_32", pretrained, kwargs, 28, 10)
