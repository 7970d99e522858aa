"""Orthonormal directions that later steps must not take."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cl.parts.statistics.symmetric import wide


class Directions:
    """Orthonormal rows [r, d], in float64, that span what was added: a basis per row of a matrix, or one for all.

    They are made of images, so they count as stored samples.
    """

    stores = "samples"

    def __init__(self, dim: int, device: torch.device | str = "cpu") -> None:
        self._empty = torch.zeros(0, dim, dtype=torch.float64, device=wide(device))
        self.bases: list[Tensor] = []

    def __len__(self) -> int:
        return sum(len(basis) for basis in self.bases)

    def add(self, number: int, rows: Tensor, tolerance: float = 1e-6) -> None:
        """Add rows [n, d] to the span of basis `number`; the directions it has stay.

        What is within `tolerance` of the longest row adds nothing, so a basis has at most d directions.
        """
        self.bases += [self._empty] * (number + 1 - len(self.bases))
        held, rows = self.bases[number], rows.to(self._empty)
        rest = without(without(rows, held), held)  # twice, for rounding
        _, lengths, found = torch.linalg.svd(rest, full_matrices=False)
        longest = rows.norm(dim=1).max() if len(rows) else 0.0
        self.bases[number] = torch.cat([held, found[lengths > tolerance * longest]])

    def outside(self, matrix: Tensor) -> Tensor:
        """A matrix [C, d], each row without its part in the span of its basis; rows without a basis stay."""
        rows = [without(row[None], basis) for row, basis in zip(matrix, self.bases, strict=False)]
        return torch.cat([*rows, matrix[len(rows) :]])

    def get_state(self) -> dict[str, Any]:
        return {"bases": self.bases}

    def set_state(self, state: dict[str, Any]) -> None:
        self.bases = [basis.to(self._empty) for basis in state["bases"]]


def without(rows: Tensor, basis: Tensor) -> Tensor:
    """Rows [n, d] minus their projections on orthonormal rows [r, d], computed in float64."""
    own = rows.to(basis)
    return (own - (own @ basis.T) @ basis).to(rows)
