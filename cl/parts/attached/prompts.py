"""Prompts and their selection per image: a shared pool with keys, and CODA-Prompt's components."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.parts.attached.keys import similarity
from cl.parts.task_parameters import TaskParameters

RANGES = {"symmetric": (-1.0, 1.0), "positive": (0.0, 1.0), "small": (0.0, 0.01)}
"""Bounds of uniform initial values of prompts and keys: in the PyTorch ports of L2P and DualPrompt (symmetric), in
CODA-Prompt's code (positive), in the JAX originals (small: flax's `uniform` draws from [0, 0.01))."""


def uniform(shape: Sequence[int], kind: str, generator: torch.Generator) -> Tensor:
    """Values drawn uniformly from one of `RANGES`."""
    return torch.empty(*shape).uniform_(*RANGES[kind], generator=generator)


def nearest(similarities: Tensor, top: int, *, vote: bool = False) -> Tensor:
    """Indices [B, top] of the `top` most similar keys of each image, from similarities [B, M].

    With `vote`, all images of the batch get the keys that most of them chose (the lower index on ties). This is a known
    defect of some code: a prediction then depends on the other images of its batch.
    """
    chosen = similarities.topk(top, 1).indices
    if not vote:
        return chosen
    votes = chosen.flatten().bincount(minlength=similarities.shape[1])
    return votes.sort(descending=True, stable=True).indices[:top].expand(len(chosen), -1)


class PromptPool(nn.Module):
    """A pool of M prompts with keys at each site, shared by all tasks.

    `prompts` [sites, M, parts, L, dim], `keys` [sites, M, dim]; `parts` is 1 (tokens) or 2 (keys and values of a
    prefix).
    """

    def __init__(
        self, sites: int, size: int, parts: int, length: int, dim: int, init: str, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.prompts = nn.Parameter(uniform((sites, size, parts, length, dim), init, generator), requires_grad=False)
        self.keys = nn.Parameter(uniform((sites, size, dim), init, generator), requires_grad=False)
        self.eval()

    def similarities(self, queries: Tensor) -> list[Tensor]:
        """Cosines [B, M] of queries [B, dim] with the keys of each site."""
        return [similarity(queries, keys) for keys in self.keys]

    def pick(self, site: int, chosen: Tensor) -> Tensor:
        """The prompts of a site at indices `chosen` [B, N], concatenated: [B, parts, N L, dim]."""
        return self.prompts[site][chosen].transpose(1, 2).flatten(2, 3)


class Components(TaskParameters):
    """CODA-Prompt's prompt components: `prompts` [sites, m, L, dim], `keys` and `attention` [sites, m, dim] per task.

    At each site, p(q) = sum_m cos(q * A_m, K_m) P_m over the components m of all tasks, without a softmax.
    """

    def grow(self, sites: int, count: int, length: int, dim: int, generator: torch.Generator) -> None:
        """Append a task's components: at each site, unit rows orthogonal to each other and to all earlier rows."""
        drawn = [torch.empty(sites, count, *shape) for shape in ((length, dim), (dim,), (dim,))]
        for index, new in enumerate(drawn):
            width = new[0, 0].numel() if new.numel() else 0
            for site in range(sites):
                old = [one[site].reshape(count, width).cpu() for one in self.column(index)]
                new[site] = orthonormal(count, torch.cat([torch.empty(0, width), *old]), generator).view_as(new[site])
        self.add(*drawn)

    def compose(self, queries: Tensor) -> Tensor:
        """The prompts [sites, B, L, dim] of queries [B, dim]."""
        prompts, keys, attention = (torch.cat(self.column(index), 1) for index in range(3))
        weights = torch.stack([similarity(queries, k, a) for k, a in zip(keys, attention, strict=True)])
        return torch.einsum("sbm,smld->sbld", weights, prompts)

    def penalty(self) -> Tensor:
        """Mean squared entry of B B^T - I, with B the rows of all tasks; sum over prompts, keys, attention, sites."""
        total = self.place.new_zeros(())
        for index in range(3):
            rows = torch.cat(self.column(index), 1).flatten(2)
            total = total + (rows @ rows.mT - torch.eye(rows.shape[1]).to(rows)).square().mean((1, 2)).sum()
        return total


def orthonormal(count: int, old: Tensor, generator: torch.Generator) -> Tensor:
    """Random unit rows [count, d], orthogonal to each other and to the span of `old` [M, d] (Gram-Schmidt).

    At most d rows can be orthogonal; further rows are random unit vectors.
    """
    drawn = torch.randn(count, old.shape[1], generator=generator, dtype=torch.float64)
    fit = max(min(count, old.shape[1] - len(old)), 0)
    if fit == 0:
        return F.normalize(drawn).float()
    found, scale = torch.linalg.qr(torch.cat([old.double(), drawn[:fit]]).T)
    rows = found * torch.where(scale.diagonal() < 0, -1.0, 1.0)  # the signs of Gram-Schmidt
    return torch.cat([rows.T[len(old) :], F.normalize(drawn[fit:])]).float()
