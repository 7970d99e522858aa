"""ResNets for small images."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cl.backbone import load
from cl.backbone.cifar_resnet import CifarResNet, resnet18_32
from cl.backbone.options import BackboneOptions


@pytest.mark.parametrize(("name", "parameters"), [("resnet18_64", 11_168_832), ("resnet34_64", 21_276_992)])
def test_the_networks_of_nevis(name: str, parameters: int) -> None:
    backbone = load(f"{name}@random", BackboneOptions())
    assert backbone.identity["parameters"] == parameters and backbone.dim == 512
    assert backbone.transform.size == 64 and backbone.transform.mean == backbone.transform.std == (0.5,) * 3
    maps = []
    backbone.model.layer4.register_forward_hook(lambda module, given, made: maps.append(made.shape[-2:]))  # type: ignore[union-attr]
    with torch.no_grad():
        assert backbone(torch.zeros(1, 3, 64, 64)).shape == (1, 512)
    assert tuple(maps[0]) == (8, 8), "3 x 3 stem without pooling"


def test_resnet18_for_small_images() -> None:
    model = resnet18_32(num_classes=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_168_832
    assert model.num_features == 512
    with torch.no_grad():
        assert model.forward_features(torch.zeros(1, 3, 32, 32)).shape == (1, 512, 4, 4)


@pytest.mark.parametrize(
    ("name", "layers", "parameters"), [("resnet20_cifar", 20, 269_072), ("resnet32_cifar", 32, 463_504)]
)
def test_the_networks_of_he_et_al_for_cifar(name: str, layers: int, parameters: int) -> None:
    backbone = load(f"{name}@random", seed=3)
    assert backbone.identity["parameters"] == parameters and backbone.dim == 64 and backbone.transform.size == 32
    assert backbone.transform.mean == (0.5071, 0.4867, 0.4408) and backbone.transform.std == (0.2675, 0.2565, 0.2761)
    convolutions = [layer for layer in backbone.model.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == layers - 1, "and the classifier"
    for layer in convolutions[-4:]:
        assert abs(float(layer.weight.std()) / (2 / (9 * layer.out_channels)) ** 0.5 - 1) < 0.03
    with torch.no_grad():
        assert backbone(torch.zeros(2, 3, 32, 32)).shape == (2, 64)


def test_its_shortcuts_have_no_weights_and_its_head_is_optional() -> None:
    model: Any = CifarResNet(1, num_classes=10).eval()
    kinds = {type(layer) for layer in model.stages.modules()} - {nn.Sequential, type(model.stages[0][0])}
    assert kinds == {nn.Conv2d, nn.BatchNorm2d} and all(
        layer.kernel_size == (3, 3) for layer in model.modules() if isinstance(layer, nn.Conv2d)
    )
    block = model.stages[1][0]
    x = torch.rand(1, 16, 8, 8)
    with torch.no_grad():
        block.bn2.weight.zero_()
        out = block(x)
        assert torch.equal(out[:, :16], x[:, :, ::2, ::2]) and not out[:, 16:].any()
        assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
