"""Multilayer perceptrons for grey images."""

from __future__ import annotations

import re

import pytest
import torch

from cl.backbone import load, mlp
from cl.backbone.options import BackboneOptions


@pytest.mark.parametrize("name", sorted(mlp.default_cfgs))
def test_a_name_gives_depth_width_and_biases(name: str) -> None:
    depth, width = map(int, re.findall(r"\d+", name)[:2])
    backbone = load(f"{name}@random", seed=1)
    linear = [layer for layer in backbone.modules() if isinstance(layer, torch.nn.Linear)]
    assert [layer.out_features for layer in linear] == [width] * depth and linear[0].in_features == 784
    assert all((layer.bias is None) == name.endswith("nobias") for layer in linear)
    assert backbone.dim == width and backbone.least_batch == 1
    assert backbone.identity["parameters"] == sum(p.numel() for p in backbone.parameters())


@pytest.mark.parametrize(
    ("name", "with_head"),
    [
        ("mlp_2x100_28", 89_610),  # VCL, permuted MNIST: 784-100-100-10
        ("mlp_2x256_28", 269_322),  # VCL, split MNIST, with ten outputs
        ("mlp_2x400_28", 478_410),  # von Oswald et al. 2020, split MNIST
        ("mlp_2x1000_28", 1_796_010),  # von Oswald et al. 2020, permuted MNIST
        ("mlp_1x1000_28_nobias", 794_000),  # Hard ASH: 784-1000-10 without biases
    ],
)
def test_the_papers_networks_with_ten_outputs(name: str, with_head: int) -> None:
    model = getattr(mlp, name)(num_classes=10)
    assert sum(p.numel() for p in model.parameters()) == with_head
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_the_transform_keeps_grey_and_makes_colour_grey() -> None:
    view = load("mlp_2x100_28@random").transform
    assert view.channels == 1
    grey = torch.randint(0, 256, (2, 1, 28, 28), dtype=torch.uint8)
    assert torch.equal(view(grey), (grey.float() / 255 - torch.tensor(0.1307)) / torch.tensor(0.3081))
    assert torch.allclose(view(grey.expand(-1, 3, -1, -1)), view(grey), atol=1e-5), "equal colours are grey"
    red = torch.zeros(1, 3, 28, 28, dtype=torch.uint8)
    red[:, 0] = 255
    assert torch.allclose(view(red) * 0.3081 + 0.1307, torch.tensor(0.299), atol=1e-6)


def test_other_statistics_and_sizes() -> None:
    fashion = load("mlp_2x100_28@random", BackboneOptions(normalize="fashion-mnist", image_size=8))
    assert fashion.transform.mean == pytest.approx((0.2859,)) and fashion.transform.std == pytest.approx((0.3530,))
    assert next(fashion.parameters()).shape == (100, 64)
    assert load("mlp_2x100_28@random", BackboneOptions(normalize="half")).transform.mean == (0.5,)


def test_activations_are_modules_that_a_method_can_replace() -> None:
    model = mlp.mlp_1x1000_28_nobias()
    model.body.act1 = torch.nn.Identity()
    x = torch.rand(2, 1, 28, 28)
    assert torch.allclose(model(x), x.flatten(1) @ model.body.fc1.weight.T, atol=1e-5)
