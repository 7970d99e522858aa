"""Reduced and wide residual networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cl.backbone import load, small_resnets
from cl.backbone.options import BackboneOptions


@pytest.mark.parametrize(
    ("name", "parameters", "dim"),
    [
        ("resnet18_x20_32", 1_093_140, 160),
        ("resnet18_x20_32_nogap", 1_093_140, 2560),
        ("resnet18_tag_32", 480_580, 160),
        ("resnet18_32_nogap", 11_168_832, 8192),
        ("wide_resnet10_2_32", 302_416, 128),
    ],
)
def test_size_and_width(name: str, parameters: int, dim: int) -> None:
    backbone = load(f"{name}@random", seed=1)
    assert backbone.identity["parameters"] == parameters and backbone.dim == dim
    with torch.no_grad():
        assert backbone(torch.zeros(2, 3, 32, 32)).shape == (2, dim)
    assert backbone.least_batch == 1


@pytest.mark.parametrize(
    ("name", "classes", "parameters"),
    [
        ("wide_resnet28_10_32", 10, 36_479_194),  # 36.5 M in Zagoruyko & Komodakis
        ("wide_resnet28_2_32", 10, 1_467_610),
        ("wide_resnet16_10_32", 10, 17_116_634),
        ("wide_resnet10_10_32", 100, 7_493_044),
        ("resnet18_x20_32", 100, 1_109_240),  # the reduced ResNet-18 of GEM and A-GEM
        ("resnet34_32", 0, 21_276_992),
        ("resnet50_32", 0, 23_500_352),
    ],
)
def test_the_papers_networks_with_their_heads(name: str, classes: int, parameters: int) -> None:
    with torch.device("meta"):
        model: Any = getattr(small_resnets, name)(num_classes=classes)
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize("depth", [10, 16, 28])
def test_the_depth_of_a_wide_resnet_counts_convolutions_and_shortcuts(depth: int) -> None:
    model = small_resnets.WideResNet(depth, 2)
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in model.modules()) == depth


def test_without_pooling_the_mean_of_the_features_are_those_with_pooling() -> None:
    torch.manual_seed(0)
    flat = small_resnets.ReducedResNet(4, gap=False).eval()
    mean = small_resnets.ReducedResNet(4).eval()
    mean.load_state_dict(flat.state_dict())
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(flat(x).view(2, 32, 16).mean(2), mean(x), atol=1e-6)
    whole: Any = small_resnets.resnet18_32_nogap(num_classes=7).eval()
    with torch.no_grad():
        assert whole(x).shape == (2, 7) and whole.forward_features(x).shape == (2, 512, 4, 4)


def test_another_size_has_other_features_without_pooling() -> None:
    backbone = load("resnet18_32_nogap@random", BackboneOptions(image_size=24))
    assert backbone.dim == 512 * 9
    assert load("resnet18_x20_32_nogap@random", BackboneOptions(image_size=64)).dim == 160 * 64
