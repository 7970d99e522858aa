"""A small network on a few images, for avalanche-lib's EWC and the diagonal Fisher information."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from cl.parts.statistics.fisher import Parameters
from cl.testing import tiny_backbone
from cl.training.batches import Batch


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Case:
    """A Vision Transformer with a linear head on 22 images of 5 classes, for avalanche-lib and for `cl`."""

    def __init__(self, seed: int = 0) -> None:
        head = nn.Linear(16, 5)
        with torch.no_grad():
            head.weight.normal_(generator=rng(seed))
        self.model = nn.Sequential(OrderedDict(backbone=tiny_backbone(seed), head=head)).requires_grad_(True)
        self.x, self.y = torch.randn(22, 3, 8, 8, generator=rng(seed)), torch.randint(5, (22,), generator=rng(seed))
        self.parameters = {name: value.detach().clone() for name, value in self.model.named_parameters()}

    def loss(self, parameters: Parameters, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(self.model, dict(parameters), (x,)), y)

    def batches(self, size: int) -> list[Batch]:
        return [Batch(x, y) for x, y in zip(self.x.split(size), self.y.split(size), strict=True)]

    def avalanche(self, plugin: Any, size: int) -> dict[str, Any]:
        data = TensorDataset(self.x, self.y, torch.zeros(22, dtype=torch.long))
        optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        found = plugin.compute_importances(
            self.model, nn.CrossEntropyLoss(), optimizer, data, torch.device("cpu"), size
        )
        self.model.eval()
        return found
