"""A head of products of two features each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

KEY = 1234
"""Seed of the pairs: all runs have the same."""


class PairwiseHead(nn.Module):
    """Logits [B, classes] of features [B, dim]: class c sums its weights times products z_i z_j of its own pairs i > j.

    `count` weights, rounded down to a multiple of the classes, take pairs in a fixed random order. Beyond the dim (dim
    - 1) / 2 pairs there are, each of the first pairs repeats as often as the count needs, and the last ones may be left
    out, as in the official code. 0: every pair once. Weights are drawn from N(0, 0.001^2).
    """

    def __init__(self, dim: int, classes: int, count: int, generator: torch.Generator) -> None:
        super().__init__()
        pairs = dim * (dim - 1) // 2
        count = (count or pairs) // classes * classes
        order = torch.arange(pairs)
        if pairs < count:
            order = order.repeat_interleave(count // pairs + 1)[:count]
        order = order[torch.randperm(len(order), generator=torch.Generator().manual_seed(KEY))][:count]
        rows, columns = torch.tril_indices(dim, dim, -1)[:, order]
        self.rows: Tensor
        self.columns: Tensor
        self.register_buffer("rows", rows)
        self.register_buffer("columns", columns)
        self.weight = nn.Parameter(0.001 * torch.randn(count // classes, classes, generator=generator))

    def forward(self, z: Tensor) -> Tensor:
        products = z[:, self.rows] * z[:, self.columns]
        return (products.view(len(z), *self.weight.shape) * self.weight).sum(1)
