"""Linear heads that grow with the classes."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from cl.errors import ContractError


class GrowingHead(nn.Module):
    """A linear classifier over the classes seen so far; each growth adds a block of columns.

    Features [B, dim] give logits [B, classes]; columns are position labels. `init` is `trunc_normal` (std 0.02,
    bias 0), `linear` (weights and bias drawn as in `nn.Linear`), `kaiming` (the same weights, bias 0), or `zero`.
    """

    def __init__(self, dim: int, *, bias: bool = True, init: str = "trunc_normal") -> None:
        super().__init__()
        self.dim, self.bias, self.init = dim, bias, init
        self.blocks = cast(list[nn.Linear], nn.ModuleList())  # typed by what it holds
        self.place: Tensor
        self.register_buffer("place", torch.empty(0), persistent=False)  # the device of a head without blocks

    @property
    def classes(self) -> int:
        """Number of columns."""
        return sum(self.widths)

    @property
    def widths(self) -> list[int]:
        """Columns of each block."""
        return [block.out_features for block in self.blocks]

    def grow_to(self, classes: int, generator: torch.Generator) -> None:
        """Append a block to have `classes` columns; do nothing if there are as many already.

        Raises `ContractError` if columns would be lost.
        """
        if classes < self.classes:
            raise ContractError(f"a head of {self.classes} classes cannot shrink to {classes}.")
        if classes > self.classes:
            self.blocks.append(self._block(classes - self.classes))
            self.redraw(generator)

    def _block(self, width: int) -> nn.Linear:
        reference = next(self.parameters(), self.place)
        block = nn.Linear(self.dim, width, bias=self.bias).requires_grad_(False)
        return block.to(reference.device, reference.dtype)

    @torch.no_grad()
    def redraw(self, generator: torch.Generator) -> None:
        """Redraw the newest block, in place."""
        block = self.blocks[-1]
        self._draw(block.weight, generator)
        if block.bias is not None and self.init == "linear":
            self._draw(block.bias, generator)
        elif block.bias is not None:
            block.bias.zero_()

    def _draw(self, values: Tensor, generator: torch.Generator) -> None:
        drawn = torch.empty(values.shape, dtype=torch.float32)
        if self.init == "trunc_normal":
            nn.init.trunc_normal_(drawn, std=0.02, generator=generator)
        elif self.init in ("kaiming", "linear"):
            drawn.uniform_(-1 / math.sqrt(self.dim), 1 / math.sqrt(self.dim), generator=generator)
        else:
            drawn.zero_()
        values.copy_(drawn)

    def block_logits(self, features: Tensor) -> list[Tensor]:
        """Logits of each block, [B, width] each."""
        return [block(features) for block in self.blocks]

    def forward(self, features: Tensor) -> Tensor:
        if not self.blocks:
            return features.new_zeros(len(features), 0)
        return torch.cat(self.block_logits(features), 1)

    def copy_from(self, other: GrowingHead) -> None:
        """Become an exact copy of another head."""
        self.set_state(other.get_state())

    def get_state(self) -> dict[str, list[Any]]:
        """Weights and biases per block."""
        return {
            "weights": [block.weight.detach() for block in self.blocks],
            "biases": [block.bias.detach() if block.bias is not None else None for block in self.blocks],
        }

    def set_state(self, state: dict[str, list[Any]]) -> None:
        """Load the blocks of `state`, adding or removing blocks to match."""
        for i, (weight, bias) in enumerate(zip(state["weights"], state["biases"], strict=True)):
            if i == len(self.blocks):
                self.blocks.append(self._block(len(weight)).to(weight.dtype))
            block = self.blocks[i]
            with torch.no_grad():
                block.weight.copy_(weight)
                if bias is not None:
                    block.bias.copy_(bias)
        del self.blocks[len(state["weights"]) :]
