"""ResNets for small images."""

from __future__ import annotations

import pytest
import torch

from cl.backbone import load
from cl.backbone.cifar_resnet import resnet18_32
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
