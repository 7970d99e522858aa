"""Bottleneck adapters parallel to the MLPs of a Vision Transformer, and sets of them, one per task."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.backbone import Backbone
from cl.parts.attached.attach import Attached, Override, blocks_of, overridden


class Adapters(nn.Module):
    """One parallel bottleneck per block: x + MLP(LN2(x)) + scale * W_up ReLU(W_down x), x the stream after attention.

    AdaptFormer (Chen et al. 2022) as in MOS, EASE and APER: dropout on the bottleneck; W_down drawn uniformly as in
    `nn.Linear` (Kaiming, a = sqrt 5); all else zero, so a new set changes nothing. Each of the four parameters holds
    all blocks: `down` [blocks, rank, d], `down_bias` [blocks, rank], `up` [blocks, d, rank], `up_bias` [blocks, d].
    Attached only during a pass, so the backbone stays pristine. Raises `UsageError` for a backbone without such blocks.
    """

    def __init__(
        self, backbone: Backbone, rank: int, generator: torch.Generator, scale: float = 0.1, dropout: float = 0.1
    ) -> None:
        super().__init__()
        blocks, dim, device = blocks_of(backbone, "norm2", "mlp"), backbone.dim, next(backbone.parameters()).device
        self.scale, self.dropout = scale, dropout
        bound = 1 / math.sqrt(dim)
        drawn = torch.empty(len(blocks), rank, dim).uniform_(-bound, bound, generator=generator)
        self.down = nn.Parameter(drawn.to(device), requires_grad=False)
        self.down_bias = nn.Parameter(torch.zeros(len(blocks), rank, device=device), requires_grad=False)
        self.up = nn.Parameter(torch.zeros(len(blocks), dim, rank, device=device), requires_grad=False)
        self.up_bias = nn.Parameter(torch.zeros(len(blocks), dim, device=device), requires_grad=False)
        self.eval()

    def forward(self, backbone: Backbone, images: Tensor) -> Tensor:
        """Features [B, dim] of normalised images with this set attached."""
        blocks = cast(list[Any], blocks_of(backbone, "norm2", "mlp"))
        with overridden(override for number, block in enumerate(blocks) for override in self._beside(number, block)):
            return cast(Tensor, backbone(images))

    def _beside(self, number: int, block: Any) -> Iterator[Override]:
        """norm2 keeps its input, the residual stream; the adapter's output is added to that of the MLP branch."""
        stream: list[Tensor] = []
        norm, leave = block.norm2.forward, block.drop_path2.forward

        def enter(x: Tensor) -> Tensor:
            stream.append(x)
            return cast(Tensor, norm(x))

        def add(x: Tensor) -> Tensor:
            return cast(Tensor, leave(x)) + self.branch(number, stream.pop())

        yield block.norm2, "forward", enter
        yield block.drop_path2, "forward", add

    def branch(self, number: int, x: Tensor) -> Tensor:
        """The output of a block's adapter, to be added to the stream [B, tokens, d]."""
        hidden = F.relu(F.linear(x, self.down[number], self.down_bias[number]))
        hidden = F.dropout(hidden, self.dropout, self.training)
        return self.scale * F.linear(hidden, self.up[number], self.up_bias[number])

    @torch.no_grad()
    def blend(self, other: Adapters, share: float) -> None:
        """Move towards another set: A <- (1 - share) A + share * other; exact if the two sets are equal."""
        for own, value in zip(self.parameters(), other.parameters(), strict=True):
            own.lerp_(value, share)

    def extractor(self, backbone: Backbone, *, lasting: bool = False) -> Attached:
        """The deterministic pass with this set, for memoised features; `lasting` if the set will not change again."""
        return Attached(backbone, functools.partial(self, backbone), self.parameters(), lasting=lasting)


class AdapterSets(nn.Module):
    """Sets of adapters, one per task; only the last may be trained. Restoring a state changes their number."""

    def __init__(self, like: Adapters) -> None:
        super().__init__()
        self.sets = cast(list[Adapters], nn.ModuleList())  # typed by what it holds
        self._like = (like,)  # gives the shapes; in a tuple, so that it is no submodule

    def __len__(self) -> int:
        return len(self.sets)

    def __getitem__(self, task: int) -> Adapters:
        return self.sets[task]

    def store(self, adapters: Adapters) -> None:
        """Append a copy of a set."""
        self.sets.append(copy.deepcopy(adapters).requires_grad_(False).eval())

    def get_state(self) -> list[dict[str, Tensor]]:
        """The parameters of each set."""
        return [dict(adapters.state_dict()) for adapters in self.sets]

    def set_state(self, state: list[dict[str, Tensor]]) -> None:
        """Load the sets of `state`, adding or removing sets to match."""
        while len(self.sets) < len(state):
            self.store(self._like[0])
        del self.sets[len(state) :]
        for adapters, values in zip(self.sets, state, strict=True):
            adapters.load_state_dict(values)
