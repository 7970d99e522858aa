"""Weight alignment of a growing classifier, and the initialisation of FOSTER's."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cl.parts.heads.growing import GrowingHead


@torch.no_grad()
def align_newest(head: GrowingHead, factor: float = 1.0) -> None:
    """Give the weights of the newest block `factor` times the mean length of earlier ones (WA); biases stay."""
    if len(head.blocks) > 1:
        *old, new = (block.weight.norm(dim=1) for block in head.blocks)
        head.blocks[-1].weight *= factor * torch.cat(old).mean() / new.mean()


class LeCunHead(GrowingHead):
    """A `GrowingHead` with one more `init`: `lecun`, uniform weights of variance 1 / dim, bias 0."""

    def _draw(self, values: Tensor, generator: torch.Generator) -> None:
        if self.init != "lecun":
            return super()._draw(values, generator)
        bound = math.sqrt(3 / self.dim)
        values.copy_(torch.empty(values.shape, dtype=torch.float32).uniform_(-bound, bound, generator=generator))
        return None
