"""Multilayer perceptrons for grey images of 28 px, without pretrained weights: `mlp_2x256_28@random`.

The name gives hidden layers and their width. Names ending in `nobias` have no biases and He-normal weights, as in the
papers on Hard ASH and the pairwise layer (Keskinen 2024); the others have PyTorch's draws.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

from timm.layers import to_2tuple
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from cl.backbone.from_scratch import Flat, configuration, he_normal

default_cfgs = generate_default_cfgs(
    {
        name: configuration(28, grey=True)
        for name in (
            "mlp_2x100_28",
            "mlp_2x256_28",
            "mlp_2x400_28",
            "mlp_2x1000_28",
            "mlp_1x256_28",
            "mlp_3x256_28",
            "mlp_4x256_28",
            "mlp_8x256_28",
            "mlp_2x128_28",
            "mlp_2x512_28",
            "mlp_2x1024_28",
            "mlp_2x2048_28",
            "mlp_1x1000_28_nobias",
            "mlp_1x700_28_nobias",
            "mlp_1x3000_28_nobias",
        )
    }
)


class MLP(Flat):
    """`depth` linear layers of `width` units, each followed by ReLU (`body.fc1`, `body.act1`, ...)."""

    def __init__(
        self, depth: int, width: int, img_size: int | tuple[int, int] = 28, in_chans: int = 1, num_classes: int = 0,
        bias: bool = True,
    ) -> None:  # fmt: skip
        layers: OrderedDict[str, nn.Module] = OrderedDict(flat=nn.Flatten())
        inputs = in_chans * math.prod(to_2tuple(img_size))
        for i in range(1, depth + 1):
            layers |= {f"fc{i}": nn.Linear(inputs, width, bias=bias), f"act{i}": nn.ReLU()}
            inputs = width
        super().__init__(nn.Sequential(layers), width, num_classes, bias=bias)
        if not bias:
            he_normal(self)


def _mlp(name: str, pretrained: bool, kwargs: dict[str, Any], **shape: Any) -> MLP:
    return build_model_with_cfg(MLP, name, pretrained, **{"in_chans": 1, **shape, **kwargs})


@register_model
def mlp_2x100_28(pretrained: bool = False, **kwargs: Any) -> MLP:
    """MLP of 2 hidden layers of 100 units for grey 28 px (88,600 parameters), of VCL and CLAW for permuted digits."""
    return _mlp("mlp_2x100_28", pretrained, kwargs, depth=2, width=100)


@register_model
def mlp_2x256_28(pretrained: bool = False, **kwargs: Any) -> MLP:
    """MLP of 2 hidden layers of 256 units for grey 28 px (266,752 parameters), of VCL and CLAW for split digits."""
    return _mlp("mlp_2x256_28", pretrained, kwargs, depth=2, width=256)


@register_model
def mlp_2x400_28(pretrained: bool = False, **kwargs: Any) -> MLP:
    """MLP of 2 hidden layers of 400 units for grey 28 px (474,400 parameters), of papers on hypernetworks."""
    return _mlp("mlp_2x400_28", pretrained, kwargs, depth=2, width=400)


@register_model
def mlp_2x1000_28(pretrained: bool = False, **kwargs: Any) -> MLP:
    """MLP of 2 hidden layers of 1000 units for grey 28 px (1.79 M parameters), of papers on hypernetworks."""
    return _mlp("mlp_2x1000_28", pretrained, kwargs, depth=2, width=1000)


@register_model
def mlp_1x256_28(pretrained: bool = False, **kwargs: Any) -> MLP:
    """MLP of 1 hidden layer of 256 units for grey 28 px (200,960 parameters), for the study of depth."""
    return _mlp("mlp_1x256_28", pretrained, kwargs, depth=1, width=256)


@register_model
def mlp_3x256_28(pretrained: bool = False, **kwargs: Any) -> MLP:
    """MLP of 3 hidden layers of 256 units for grey 28 px (332,544 parameters), for the study of depth."""
    return _mlp("mlp_3x256_28", pretrained, kwargs, depth=3, width=256)


@register_model
def mlp_4x256_28(pretrained: bool = False, **kwargs: Any) -> MLP:
    """MLP of 4 hidden layers of 256 units for grey 28 px (398,336 parameters), for the study of depth."""
    return _mlp("mlp_4x256_28", pretrained, kwargs, depth=4, width=256)


@register_model
def mlp_8x256_28(pretrained: bool = False, **kwargs: Any) -> MLP:
    """MLP of 8 hidden layers of 256 units for grey 28 px (661,504 parameters), for the study of depth."""
    return _mlp("mlp_8x256_28", pretrained, kwargs, depth=8, width=256)


@register_model
def mlp_2x128_28(pretrained: bool = False, **kwargs: Any) -> MLP:
    """MLP of 2 hidden layers of 128 units for grey 28 px (116,992 parameters), for the study of width."""
    return _mlp("mlp_2x128_28", pretrained, kwargs, depth=2, width=128)


@register_model
def mlp_2x512_28(pretrained: bool = False, **kwargs: Any) -> MLP:
    """MLP of 2 hidden layers of 512 units for grey 28 px (664,576 parameters), for the study of width."""
    return _mlp("mlp_2x512_28", pretrained, kwargs, depth=2, width=512)


@register_model
def mlp_2x1024_28(pretrained: bool = False, **kwargs: Any) -> MLP:
    """MLP of 2 hidden layers of 1024 units for grey 28 px (1.85 M parameters), for the study of width."""
    return _mlp("mlp_2x1024_28", pretrained, kwargs, depth=2, width=1024)


@register_model
def mlp_2x2048_28(pretrained: bool = False, **kwargs: Any) -> MLP:
    """MLP of 2 hidden layers of 2048 units for grey 28 px (5.80 M parameters), for the study of width."""
    return _mlp("mlp_2x2048_28", pretrained, kwargs, depth=2, width=2048)


@register_model
def mlp_1x1000_28_nobias(pretrained: bool = False, **kwargs: Any) -> MLP:
    """MLP of 1 hidden layer of 1000 units for grey 28 px (784,000 parameters), of Hard ASH."""
    return _mlp("mlp_1x1000_28_nobias", pretrained, kwargs, depth=1, width=1000, bias=False)


@register_model
def mlp_1x700_28_nobias(pretrained: bool = False, **kwargs: Any) -> MLP:
    """MLP of 1 hidden layer of 700 units for grey 28 px (548,800 parameters), of the pairwise layer."""
    return _mlp("mlp_1x700_28_nobias", pretrained, kwargs, depth=1, width=700, bias=False)


@register_model
def mlp_1x3000_28_nobias(pretrained: bool = False, **kwargs: Any) -> MLP:
    """MLP of 1 hidden layer of 3000 units for grey 28 px (2.35 M parameters), of the pairwise layer."""
    return _mlp("mlp_1x3000_28_nobias", pretrained, kwargs, depth=1, width=3000, bias=False)
