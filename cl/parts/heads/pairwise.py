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

    Only products of active features are computed, so a sparse code costs its number of active pairs, not `count`.
    Features are 0 or above, as relu gives them; one that is 0 gets no gradient, as relu lets none pass.
    """

    def __init__(self, dim: int, classes: int, count: int, generator: torch.Generator) -> None:
        super().__init__()
        pairs = dim * (dim - 1) // 2
        count = (count or pairs) // classes * classes
        order = torch.arange(pairs)
        if pairs < count:
            order = order.repeat_interleave(count // pairs + 1)[:count]
        order = order[torch.randperm(len(order), generator=torch.Generator().manual_seed(KEY))][:count]
        self.pairs = pairs
        self.order: Tensor
        self.places: Tensor
        self.register_buffer("order", order)
        self.register_buffer("places", places_of(order, pairs), persistent=False)
        self.weight = nn.Parameter(0.001 * torch.randn(count // classes, classes, generator=generator))

    def assign(self, rows: Tensor, columns: Tensor) -> None:
        """Give weight n of `weight.flatten()`, which is of class n % classes, the pair (rows[n], columns[n])."""
        self.order.copy_(number_of(rows, columns))
        self.places = places_of(self.order, self.pairs)

    def forward(self, z: Tensor) -> Tensor:
        classes, size = self.weight.shape[1], len(z)
        most = int((z.detach() != 0).sum(1).max()) if size else 0
        active = z.detach().abs().topk(most, dim=1).indices.sort(dim=1).values
        one, two = torch.tril_indices(most, most, -1, device=z.device)
        values = z.gather(1, active)
        products = values[:, one] * values[:, two]
        places = self.places[:, number_of(active[:, one], active[:, two])]
        weights = torch.cat([self.weight.flatten(), self.weight.new_zeros(1)])
        into = torch.arange(size, device=z.device)[:, None] * classes + places % classes
        terms = products * weights[places]
        return terms.new_zeros(size * classes).index_add(0, into.flatten(), terms.flatten()).view(size, classes)


def number_of(rows: Tensor, columns: Tensor) -> Tensor:
    """The number of each pair i > j among all pairs, ordered by i and then by j."""
    return rows * (rows - 1) // 2 + columns


def places_of(order: Tensor, pairs: int) -> Tensor:
    """Where each of `pairs` pairs stands in `order`: [times, pairs]; where it stands fewer times, len(order)."""
    by_pair = order.argsort(stable=True)
    counts = torch.bincount(order, minlength=pairs)
    times = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[order[by_pair]]
    places = order.new_full((int(counts.max()), pairs), len(order))
    places[times, order[by_pair]] = by_pair
    return places
