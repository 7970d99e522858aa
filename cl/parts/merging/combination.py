"""aTLAS: a combination of task vectors with learned coefficients, one per vector and tensor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cl.errors import UsageError
from cl.parts.merging.vectors import Weights, check_finite, check_vectors


class Coefficients(nn.Module):
    """Coefficients L [T, tensors, K] of T task vectors, 0 at first; a call combines the vectors by them.

    Zhang et al. 2024 (arXiv 2407.02880). `anisotropic` false has one coefficient per vector, [T, 1, K]. With
    `partitions` K above 1, every tensor is divided into K random parts with a coefficient each; the parts are drawn
    from `generator` and are not in the state. `fit` lets the coefficients train; a loop of your own first calls
    `requires_grad_(True)`. Raises `UsageError` for vectors of different networks, and for values that are not finite.
    """

    def __init__(
        self,
        vectors: Sequence[Weights],
        *,
        anisotropic: bool = True,
        partitions: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_vectors(vectors)
        for vector in vectors:
            check_finite(vector)
        if partitions < 1:
            raise UsageError(f"partitions={partitions}: give the number of parts of a tensor, at least 1.")
        width = len(vectors[0]) if anisotropic else 1
        like = next(iter(vectors[0].values()))
        self.values = nn.Parameter(like.new_zeros(len(vectors), width, partitions), requires_grad=False)
        self.partitions = partitions
        for number, tensor in enumerate(vectors[0].values() if partitions > 1 else ()):
            part = torch.randint(partitions, tensor.shape, generator=generator).to(tensor.device)
            self.register_buffer(f"part{number}", part, persistent=False)

    def forward(self, vectors: Sequence[Weights]) -> dict[str, Tensor]:
        """sum_i L_i t_i, a task vector; gradients reach the coefficients.

        Running statistics of batch norms follow the coefficients without gradients, which batch norms do not give.
        Vectors are read one by one. For a backward pass, autograd holds them by reference, and with partitions T more
        factors per value.
        """
        if len(vectors) != len(self.values):
            raise UsageError(
                f"{len(vectors)} task vectors were given for the coefficients of {len(self.values)}; give as many."
            )
        found = {}
        for number, name in enumerate(vectors[0]):
            rows = self.values[:, min(number, self.values.shape[1] - 1)]
            if name.endswith(("running_mean", "running_var")):
                rows = rows.detach()
            part = self.get_buffer(f"part{number}") if self.partitions > 1 else 0
            found[name] = sum(
                (row[part] * vector[name] for row, vector in zip(rows, vectors, strict=True)),
                start=torch.zeros_like(vectors[0][name]),
            )
        return found
