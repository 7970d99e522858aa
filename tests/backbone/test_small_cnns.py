"""Small convolutional networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cl.backbone import load, small_cnns


@pytest.mark.parametrize(("width", "million"), [(1, 0.3), (2, 0.8), (4, 2.3), (8, 7.5), (16, 26.9)])
def test_the_cnns_of_the_study_with_a_hundred_outputs(width: int, million: float) -> None:
    with torch.device("meta"):
        model: Any = getattr(small_cnns, f"cnn_x{width}_32")(num_classes=100)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 1) == million
    assert [model.body.get_submodule(f"conv{i}").out_channels for i in (1, 2, 3)] == [
        32 * width,
        64 * width,
        128 * width,
    ]


@pytest.mark.parametrize(
    ("name", "parameters", "dim"),
    [
        ("cnn_x4_32", 1_478_912, 8192),
        ("cnn_x4_32_bn", 1_480_704, 8192),
        ("cnn_x8_32_bn", 5_910_528, 16384),
        ("cnn_x4_32_avg", 1_478_912, 8192),
        ("cnn_x4_32_stride", 1_478_912, 8192),
        ("cnn_x4_32_gap", 1_478_912, 512),
        ("cnn_64_128_256_28_nobias", 1_027_136, 1024),
        ("cnn_64_128_256_32_nobias", 1_033_408, 1024),
        ("oml_cnn_84", 2_952_960, 2304),
        ("oml_cnn_28", 185_280, 256),
    ],
)
def test_size_and_width(name: str, parameters: int, dim: int) -> None:
    backbone = load(f"{name}@random", seed=1)
    assert backbone.identity["parameters"] == parameters and backbone.dim == dim and backbone.least_batch == 1
    view = backbone.transform(torch.randint(0, 256, (2, 1, 28, 28), dtype=torch.uint8))
    with torch.no_grad():
        assert view.shape[1] == backbone.transform.channels and backbone(view).shape == (2, dim)


@pytest.mark.parametrize(("pooling", "kind"), [("max", nn.MaxPool2d), ("average", nn.AvgPool2d), ("stride", None)])
def test_every_pooling_halves_each_map(pooling: str, kind: type[nn.Module] | None) -> None:
    body = small_cnns.CNN(pooling=pooling).body
    pools = [layer for layer in body if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d)]
    assert len(pools) == (0 if kind is None else 3) and all(type(layer) is kind for layer in pools)
    x, sides = torch.rand(1, 3, 32, 32), [32]
    for layer in body[:-1]:
        x = layer(x)
        sides.append(x.shape[-1])
    assert sorted(set(sides)) == [4, 8, 16, 32]


def test_the_lenets_with_ten_outputs() -> None:
    assert sum(p.numel() for p in small_cnns.lenet5_28(num_classes=10).parameters()) == 61_706
    assert sum(p.numel() for p in small_cnns.lenet_caffe_28(num_classes=10).parameters()) == 431_080


def test_the_pairwise_cnn_sees_every_pixel_and_has_no_biases() -> None:
    model = small_cnns.cnn_64_128_256_28_nobias(num_classes=10)
    assert all(name.endswith("weight") for name, _ in model.named_parameters())
    x = torch.rand(1, 1, 28, 28, requires_grad=True)
    first = model.body.conv1(x)
    assert first.shape == (1, 64, 7, 7)
    first.square().sum().backward()
    assert bool((x.grad != 0).all())  # type: ignore[union-attr]


def test_the_network_of_oml_keeps_images_apart() -> None:
    backbone = load("oml_cnn_28@random", seed=1)
    biases = [value for name, value in backbone.model.named_parameters() if name.endswith("bias")]
    assert len(biases) == 6 and not any(bool(bias.any()) for bias in biases)
    with torch.no_grad():
        features = backbone(torch.randn(32, 1, 28, 28, generator=torch.Generator().manual_seed(0)))
    assert float(features.std(0).mean()) > 0.1
