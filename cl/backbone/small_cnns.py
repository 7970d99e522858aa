"""Small convolutional networks without pretrained weights: those of studies of width and pooling, LeNets, OML's.

`cnn_x4_32` is the CNN of the study of architectures (Mirzadeh et al. 2022) at four times its width. The paper's text
was not at hand: three 3 x 3 convolutions of 32, 64 and 128 channels, each followed by ReLU and 2 x 2 max pooling, are
our reading. With 100 outputs the widths 1, 2, 4, 8 and 16 have 0.3, 0.8, 2.3, 7.5 and 26.9 M parameters.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from timm.layers import Conv2dSame
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from cl.backbone.from_scratch import Flat, configuration, he_normal, width_after

_GREY = ("lenet5_28", "lenet_caffe_28", "cnn_64_128_256_28_nobias", "oml_cnn_28")
_COLOUR = (
    "cnn_x1_32",
    "cnn_x2_32",
    "cnn_x4_32",
    "cnn_x8_32",
    "cnn_x16_32",
    "cnn_x4_32_bn",
    "cnn_x8_32_bn",
    "cnn_x4_32_avg",
    "cnn_x4_32_stride",
    "cnn_x4_32_gap",
    "cnn_64_128_256_32_nobias",
)

_configurations: dict[str, Any] = (
    {name: configuration(28, grey=True) for name in _GREY}
    | {name: configuration(32, grey=False) for name in _COLOUR}
    | {"oml_cnn_84": configuration(84, grey=True)}
)
default_cfgs = generate_default_cfgs(_configurations)

Size = int | tuple[int, int]


class CNN(Flat):
    """Three 3 x 3 convolutions of 32, 64 and 128 channels times `width`; each halves its map.

    `pooling`: by max or average pooling after ReLU, or by the convolution's stride. `norm` adds batch norms; `gap`
    averages the last map, so that there are 128 instead of 2048 features per width at 32 px.
    """

    def __init__(
        self, width: int = 1, pooling: str = "max", norm: bool = False, gap: bool = False, img_size: Size = 32,
        in_chans: int = 3, num_classes: int = 0,
    ) -> None:  # fmt: skip
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels, stride = in_chans, 2 if pooling == "stride" else 1
        for i, out in enumerate((32 * width, 64 * width, 128 * width), 1):
            layers[f"conv{i}"] = nn.Conv2d(channels, out, 3, stride, 1)
            if norm:
                layers[f"bn{i}"] = nn.BatchNorm2d(out)
            layers[f"act{i}"] = nn.ReLU()
            if pooling != "stride":
                layers[f"pool{i}"] = nn.MaxPool2d(2) if pooling == "max" else nn.AvgPool2d(2)
            channels = out
        if gap:
            layers["gap"] = nn.AdaptiveAvgPool2d(1)
        layers["flat"] = nn.Flatten()
        body = nn.Sequential(layers)
        super().__init__(body, width_after(body, in_chans, img_size), num_classes)


class LeNet(Flat):
    """Two 5 x 5 convolutions with 2 x 2 max pooling and linear layers, all with ReLU; `pad` keeps the first map's size.

    LeNet-5 has 6 and 16 channels, 120 and 84 units; Caffe's LeNet 20 and 50 channels and 500 units.
    """

    def __init__(
        self, channels: tuple[int, int], units: tuple[int, ...], pad: int, img_size: Size = 28, in_chans: int = 1,
        num_classes: int = 0,
    ) -> None:  # fmt: skip
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        inputs = in_chans
        for i, out in enumerate(channels, 1):
            layers[f"conv{i}"] = nn.Conv2d(inputs, out, 5, padding=pad if i == 1 else 0)
            layers |= {f"act{i}": nn.ReLU(), f"pool{i}": nn.MaxPool2d(2)}
            inputs = out
        layers["flat"] = nn.Flatten()
        inputs = width_after(nn.Sequential(layers), in_chans, img_size)
        for i, out in enumerate(units, 1):
            layers |= {f"fc{i}": nn.Linear(inputs, out), f"act{i + 2}": nn.ReLU()}
            inputs = out
        super().__init__(nn.Sequential(layers), inputs, num_classes)


class PairwiseCNN(Flat):
    """The larger CNN of the pairwise layer (Keskinen 2024): 64, 128 and 256 channels without biases, He-normal weights.

    Kernels of 7, 5 and 5 pixels have strides of 4, 2 and 2 and cover every pixel ("same" padding).
    """

    def __init__(self, img_size: Size = 28, in_chans: int = 1, num_classes: int = 0) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels = in_chans
        for i, (out, kernel, stride) in enumerate([(64, 7, 4), (128, 5, 2), (256, 5, 2)], 1):
            layers |= {f"conv{i}": Conv2dSame(channels, out, kernel, stride, bias=False), f"act{i}": nn.ReLU()}
            channels = out
        layers["flat"] = nn.Flatten()
        body = nn.Sequential(layers)
        super().__init__(body, width_after(body, in_chans, img_size), num_classes, bias=False)
        he_normal(self)


class OMLNet(Flat):
    """The representation network of OML (Javed & White 2019): six 3 x 3 convolutions with strides 2, 1, 2, 1, 2, 2.

    As in its code, weights are He-normal and biases 0. With PyTorch's own, all images would have almost equal features.
    """

    def __init__(
        self, channels: int = 256, pad: int = 0, img_size: Size = 84, in_chans: int = 1, num_classes: int = 0
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        inputs = in_chans
        for i, stride in enumerate((2, 1, 2, 1, 2, 2), 1):
            layers |= {f"conv{i}": nn.Conv2d(inputs, channels, 3, stride, pad), f"act{i}": nn.ReLU()}
            inputs = channels
        layers["flat"] = nn.Flatten()
        body = nn.Sequential(layers)
        super().__init__(body, width_after(body, in_chans, img_size), num_classes)
        he_normal(self)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)


def _cnn(name: str, pretrained: bool, kwargs: dict[str, Any], **shape: Any) -> CNN:
    return build_model_with_cfg(CNN, name, pretrained, **{**shape, **kwargs})


@register_model
def cnn_x1_32(pretrained: bool = False, **kwargs: Any) -> CNN:
    """CNN of the study of architectures, for 32 px (0.09 M parameters, 2,048 features)."""
    return _cnn("cnn_x1_32", pretrained, kwargs, width=1)


@register_model
def cnn_x2_32(pretrained: bool = False, **kwargs: Any) -> CNN:
    """CNN of the study of architectures, 2 times as wide, for 32 px (0.37 M parameters, 4,096 features)."""
    return _cnn("cnn_x2_32", pretrained, kwargs, width=2)


@register_model
def cnn_x4_32(pretrained: bool = False, **kwargs: Any) -> CNN:
    """CNN of the study of architectures, 4 times as wide, for 32 px (1.5 M parameters, 8,192 features)."""
    return _cnn("cnn_x4_32", pretrained, kwargs, width=4)


@register_model
def cnn_x8_32(pretrained: bool = False, **kwargs: Any) -> CNN:
    """CNN of the study of architectures, 8 times as wide, for 32 px (5.9 M parameters, 16,384 features)."""
    return _cnn("cnn_x8_32", pretrained, kwargs, width=8)


@register_model
def cnn_x16_32(pretrained: bool = False, **kwargs: Any) -> CNN:
    """CNN of the study of architectures, 16 times as wide, for 32 px (23.6 M parameters, 32,768 features)."""
    return _cnn("cnn_x16_32", pretrained, kwargs, width=16)


@register_model
def cnn_x4_32_bn(pretrained: bool = False, **kwargs: Any) -> CNN:
    """`cnn_x4_32` with batch norms, for 32 px (1.5 M parameters, 8,192 features)."""
    return _cnn("cnn_x4_32_bn", pretrained, kwargs, width=4, norm=True)


@register_model
def cnn_x8_32_bn(pretrained: bool = False, **kwargs: Any) -> CNN:
    """`cnn_x8_32` with batch norms, for 32 px (5.9 M parameters, 16,384 features)."""
    return _cnn("cnn_x8_32_bn", pretrained, kwargs, width=8, norm=True)


@register_model
def cnn_x4_32_avg(pretrained: bool = False, **kwargs: Any) -> CNN:
    """`cnn_x4_32` with average pooling, for 32 px (1.5 M parameters, 8,192 features)."""
    return _cnn("cnn_x4_32_avg", pretrained, kwargs, width=4, pooling="average")


@register_model
def cnn_x4_32_stride(pretrained: bool = False, **kwargs: Any) -> CNN:
    """`cnn_x4_32` with strides instead of pooling, for 32 px (1.5 M parameters, 8,192 features)."""
    return _cnn("cnn_x4_32_stride", pretrained, kwargs, width=4, pooling="stride")


@register_model
def cnn_x4_32_gap(pretrained: bool = False, **kwargs: Any) -> CNN:
    """`cnn_x4_32` with global average pooling, for 32 px (1.5 M parameters, 512 features)."""
    return _cnn("cnn_x4_32_gap", pretrained, kwargs, width=4, gap=True)


@register_model
def lenet5_28(pretrained: bool = False, **kwargs: Any) -> LeNet:
    """LeNet-5 for grey 28 px (60,856 parameters, 84 features)."""
    shape = {"channels": (6, 16), "units": (120, 84), "pad": 2, "in_chans": 1}
    return build_model_with_cfg(LeNet, "lenet5_28", pretrained, **{**shape, **kwargs})


@register_model
def lenet_caffe_28(pretrained: bool = False, **kwargs: Any) -> LeNet:
    """LeNet of Caffe for grey 28 px (426,070 parameters, 500 features)."""
    shape = {"channels": (20, 50), "units": (500,), "pad": 0, "in_chans": 1}
    return build_model_with_cfg(LeNet, "lenet_caffe_28", pretrained, **{**shape, **kwargs})


@register_model
def cnn_64_128_256_28_nobias(pretrained: bool = False, **kwargs: Any) -> PairwiseCNN:
    """CNN of the pairwise layer for grey 28 px (1.0 M parameters, 1,024 features), without biases."""
    return build_model_with_cfg(PairwiseCNN, "cnn_64_128_256_28_nobias", pretrained, **{"in_chans": 1, **kwargs})


@register_model
def cnn_64_128_256_32_nobias(pretrained: bool = False, **kwargs: Any) -> PairwiseCNN:
    """CNN of the pairwise layer for 32 px in colour (1.0 M parameters, 1,024 features), without biases."""
    shape = {"img_size": 32, "in_chans": 3}
    return build_model_with_cfg(PairwiseCNN, "cnn_64_128_256_32_nobias", pretrained, **{**shape, **kwargs})


@register_model
def oml_cnn_84(pretrained: bool = False, **kwargs: Any) -> OMLNet:
    """Representation network of OML for grey 84 px (3.0 M parameters, 2,304 features)."""
    return build_model_with_cfg(OMLNet, "oml_cnn_84", pretrained, **{"in_chans": 1, **kwargs})


@register_model
def oml_cnn_28(pretrained: bool = False, **kwargs: Any) -> OMLNet:
    """Representation network of OML made small: grey 28 px, padded, 64 channels (0.19 M parameters, 256 features)."""
    shape = {"channels": 64, "pad": 1, "img_size": 28, "in_chans": 1}
    return build_model_with_cfg(OMLNet, "oml_cnn_28", pretrained, **{**shape, **kwargs})
