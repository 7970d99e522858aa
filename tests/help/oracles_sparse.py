"""What the oracles of CL-DST and PackNet share: their small network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LAYERS = ("conv1.weight", "fc1.weight")


class NormedNet(nn.Module):
    """relu(norm(conv1: 3 x 3, stride 2)), flattened, relu(fc1)."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.num_features = dim
        self.conv1, self.bn1 = nn.Conv2d(3, channels, 3, stride=2, bias=False), nn.BatchNorm2d(channels)
        self.fc1 = nn.Linear(channels * 9, dim)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.fc1(torch.relu(self.bn1(self.conv1(x))).flatten(1)))
