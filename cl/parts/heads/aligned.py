"""A growing classifier whose newest rows can be given the length of earlier ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cl.parts.heads.growing import GrowingHead


class AlignedHead(GrowingHead):
    """A `GrowingHead` with weight alignment (WA, FOSTER).

    `init` has one more choice: `lecun`, uniform weights of variance 1 / dim, bias 0.
    """

    @torch.no_grad()
    def align_newest(self, factor: float = 1.0) -> None:
        """Give the weights of the newest block `factor` times the mean length of earlier ones; biases stay."""
        if len(self.blocks) > 1:
            *old, new = (block.weight.norm(dim=1) for block in self.blocks)
            self.blocks[-1].weight *= factor * torch.cat(old).mean() / new.mean()

    def _draw(self, values: Tensor, generator: torch.Generator) -> None:
        if self.init != "lecun":
            return super()._draw(values, generator)
        bound = math.sqrt(3 / self.dim)
        values.copy_(torch.empty(values.shape, dtype=torch.float32).uniform_(-bound, bound, generator=generator))
        return None
