"""Networks of earlier tasks that are kept."""

from __future__ import annotations

import torch

from cl.parts.weights.kept_networks import Networks
from cl.parts.weights.lend import Lent
from cl.testing import tiny_backbone


def test_kept_networks_give_the_same_features_under_the_same_key() -> None:
    backbone, images = tiny_backbone(), torch.randn(3, 3, 8, 8)
    networks, expected, keys = Networks(torch.device("cpu")), [], []
    for seed in (1, 2):
        backbone.redraw(seed)
        networks.add(backbone)
        keys.append(backbone.key)
        expected.append(backbone(images))
    backbone.redraw(3)
    for index in range(2):
        network = networks.extractor(index, backbone)
        assert torch.equal(network(images), expected[index]) and network.key == keys[index] and network.lasting
    assert torch.equal(Lent(backbone, key=backbone.key)(images), backbone(images))
    other = Networks(torch.device("cpu"))
    other.set_state(networks.get_state())
    other.put_back(1, backbone)
    assert torch.equal(backbone(images), expected[1]) and backbone.key == keys[1] and len(other) == 2


def test_features_of_several_networks_side_by_side() -> None:
    backbone, images = tiny_backbone(), torch.randn(3, 3, 8, 8)
    networks = Networks(torch.device("cpu"))
    for seed in (1, 2):
        backbone.redraw(seed)
        networks.add(backbone)
    pair = networks.side_by_side(backbone)
    apart = [networks.extractor(index, backbone) for index in range(2)]
    with torch.no_grad():
        assert torch.equal(pair(images), torch.cat([network(images) for network in apart], 1))
    assert pair.dim == 32
    assert all(network.key in pair.key for network in apart) and pair.transform is backbone.transform


def test_kept_networks_give_features_while_the_backbone_trains() -> None:
    backbone, images = tiny_backbone(), torch.randn(3, 3, 8, 8)
    networks = Networks(torch.device("cpu"))
    networks.add(backbone)
    expected = backbone(images)
    backbone.redraw(2)
    backbone.requires_grad_(True).train()
    found = networks.features(0, backbone, images)
    assert torch.equal(found, expected) and not found.requires_grad
    assert all(module.training for module in backbone.modules()), "with dropout, as before"
