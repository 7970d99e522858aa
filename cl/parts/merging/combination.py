"""aTLAS: a combination of task vectors with learned coefficients, one per vector and tensor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cl.parts.merging.vectors import Weights, stacked


class Coefficients(nn.Module):
    """Coefficients [T, tensors] of T task vectors, 0 at first; `anisotropic` false: one per vector.

    Zhang et al. 2024 (arXiv 2407.02880). With `partitions` K above 1, every tensor is divided into K random parts with
    their own coefficients, [T, tensors, K].
    """

    def __init__(
        self,
        vectors: int,
        shapes: Sequence[torch.Size],
        *,
        anisotropic: bool = True,
        partitions: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        width = len(shapes) if anisotropic else 1
        self.values = nn.Parameter(torch.zeros(vectors, width, partitions), requires_grad=False)
        self.parts = [
            torch.randint(partitions, shape, generator=generator) if partitions > 1 else None for shape in shapes
        ]

    def forward(self, origin: Weights, vectors: Sequence[Weights]) -> dict[str, Tensor]:
        """origin + sum_i L_i t_i; gradients reach the coefficients."""
        found = {}
        for number, (name, changes) in enumerate(stacked(vectors)):
            rows = self.values[:, min(number, self.values.shape[1] - 1)]
            part = self.parts[number]
            factor = rows[:, 0] if part is None else rows[:, part.to(rows.device)]
            factor = factor.reshape(*factor.shape, *[1] * (changes.ndim - factor.ndim))
            found[name] = origin[name] + (factor * changes).sum(0)
        return found
