"""The projection in front of a contrastive loss; it is used in training only."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn


class Projector(nn.Module):
    """Linear, relu, linear: features [B, dim] to [B, out], with PyTorch's usual initialisation of linear layers."""

    def __init__(self, dim: int, out: int, generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, out)).requires_grad_(False)
        for values in self.layers.parameters():
            values.uniform_(-1 / math.sqrt(dim), 1 / math.sqrt(dim), generator=generator)
        self.eval()

    def forward(self, features: Tensor) -> Tensor:
        return cast(Tensor, self.layers(features))
