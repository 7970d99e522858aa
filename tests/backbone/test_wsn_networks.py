"""Small networks that are trained from scratch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cl.backbone import load, wsn_networks
from cl.backbone.options import BackboneOptions
from cl.errors import DataError
from cl.parts.weights.masks import maskable


@pytest.mark.parametrize(
    ("name", "dim", "weights"),
    [("wsn_alexnet", 2048, 6_499_328), ("wsn_lenet", 500, 2_986_500), ("wsn_resnet18", 640, 1_090_140)],
)
def test_size_and_width_of_each_network(name: str, dim: int, weights: int) -> None:
    backbone = load(f"{name}@random", seed=1)
    assert name in wsn_networks.default_cfgs and backbone.dim == dim
    assert backbone.identity["parameters"] == weights, "weights of convolutions and linear layers only"
    assert len(maskable(backbone)) == len(list(backbone.model.parameters()))
    assert all(not norm.affine for norm in backbone.modules() if isinstance(norm, nn.modules.batchnorm._BatchNorm))
    assert backbone(torch.zeros(2, 3, 32, 32)).shape == (2, dim)
    larger = load(f"{name}@random", BackboneOptions(image_size=40))
    assert larger(torch.zeros(2, 3, 40, 40)).shape == (2, larger.dim)


def test_alexnet_has_the_dropout_of_the_paper_and_no_pretrained_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    net = wsn_networks.AlexNet(num_classes=10)
    assert [m.p for m in net.modules() if isinstance(m, nn.Dropout)] == [0.2, 0.2, 0.5, 0.5, 0.5]
    assert net.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10) and net.head.bias is None
    monkeypatch.setenv("CLBENCH_OFFLINE", "1")
    with pytest.raises(DataError, match="wsn_alexnet"):
        load("wsn_alexnet")
