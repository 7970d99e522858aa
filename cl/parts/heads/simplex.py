"""Classifiers that are fixed before training: the vertices of a simplex, one per class."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cl.errors import UsageError


def simplex(basis: Tensor) -> Tensor:
    """Vertices [K, d] of a simplex equiangular tight frame: sqrt(K / (K - 1)) (I - 11^T / K) U^T.

    `basis` U [d, K] has orthonormal columns. Every vertex has length 1; two of them have the product -1 / (K - 1), the
    least that all pairs of K vectors can have.
    """
    count = basis.shape[1]
    return math.sqrt(count / max(count - 1, 1)) * (basis - basis.mean(1, keepdim=True)).T


class SimplexHead(nn.Module):
    """A vertex of a random simplex for each of `classes`, [classes, dim]; nothing is trained.

    Raises `UsageError` if features have fewer dimensions than there are classes.
    """

    def __init__(self, dim: int, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        if classes > dim:
            raise UsageError(
                f"A simplex with a vertex for each of {classes} classes needs features of as many dimensions; this "
                f"backbone has {dim}. Choose a wider backbone, or --set prototypes=trained."
            )
        basis = torch.linalg.qr(torch.randn(dim, classes, generator=generator, dtype=torch.float64)).Q
        self.vertices: Tensor
        self.register_buffer("vertices", simplex(basis).float())
        self.eval()
