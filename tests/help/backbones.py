"""Small backbones that several tests share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.backbone import Backbone
from cl.backbone.transform import Transform


class Net(nn.Module):
    """Two convolutions and a linear layer, with dropout and batch norms of both kinds."""

    num_features = 5

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False)
        self.conv2, self.drop = nn.Conv2d(4, 6, 3), nn.Dropout(0.5)
        self.fc, self.bn2 = nn.Linear(6 * 16, 5, bias=False), nn.BatchNorm1d(5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(F.relu(self.bn1(self.conv1(x))))
        out: Tensor = self.bn2(self.fc(F.relu(self.conv2(x)).flatten(1)))
        return out


def conv_backbone(seed: int = 0) -> Backbone:
    return _small("net", Net, seed)


class Chain(nn.Module):
    """Two linear layers of 6 units with ReLU on images of 8 px."""

    num_features = 6

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(3 * 64, 6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.fc2(F.relu(self.fc1(x.flatten(1)))))


def chain_backbone(seed: int = 0) -> Backbone:
    return _small("chain", Chain, seed)


class Flat(nn.Module):
    """Flattened images, a layer norm and two linear layers with ReLU."""

    num_features = 7

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.norm, self.fc2 = nn.Linear(3 * 64, 12), nn.LayerNorm(12), nn.Linear(12, 7)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.fc2(F.relu(self.norm(self.fc1(x.flatten(1))))))


def flat_backbone(seed: int = 0) -> Backbone:
    """A network of 2,431 parameters without batch norms, for images of 8 px."""
    return _small("flat", Flat, seed)


def _small(name: str, make: Callable[[], Any], seed: int) -> Backbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    identity = {
        **{"name": name, "weights_sha256": f"random-{seed}", "parameters": parameters, "dim": model.num_features},
        **{"input": {"size": 8}, "pretraining": "none"},
    }
    return Backbone(model, Transform(8, (0.5,) * 3, (0.5,) * 3), identity)
