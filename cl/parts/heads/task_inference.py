"""Inferring the task of an image from features of the frozen backbone, as HiDe-Prompt does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cl.parts.heads.growing import GrowingHead


class TaskInference(nn.Module):
    """A residual MLP m and a linear head over the classes seen; the task is that of the most probable class.

    m(u) = LN(u + W2 GELU(W1 u)) for `widths` (2,), in multiples of `dim`. More widths give more layers, the middle one
    with a LayerNorm in place of GELU, as in the authors' code. Without widths, m(u) = u. Weights are initialised like
    timm's Vision Transformer: truncated normal, std 0.02, biases 0. LayerNorms have PyTorch's eps 1e-5, as in the code.
    """

    def __init__(self, dim: int, widths: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        sizes = [dim, *(width * dim for width in widths)]
        layers: list[nn.Module] = []
        for i in range(len(widths)):
            middle = 0 < i == len(widths) // 2
            layers.append(nn.Linear(sizes[i], sizes[i + 1]))
            layers.append(nn.LayerNorm(sizes[i + 1]) if middle else nn.GELU())
        self.mlp = nn.Sequential(*layers, nn.Linear(sizes[-1], dim)) if widths else None
        self.norm = nn.LayerNorm(dim) if widths else nn.Identity()
        self.head = GrowingHead(dim)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02, generator=generator)
                nn.init.zeros_(layer.bias)
        self.requires_grad_(False).eval()

    def forward(self, features: Tensor) -> Tensor:
        """Logits [B, classes seen] of features [B, dim] without prompts."""
        return self.head(self.norm(features if self.mlp is None else features + self.mlp(features)))

    def tasks(self, features: Tensor) -> Tensor:
        """The inferred task [B] of each image."""
        owner = torch.repeat_interleave(torch.arange(len(self.head.widths)), torch.tensor(self.head.widths))
        return owner.to(features.device)[self(features).argmax(1)]

    def get_state(self) -> dict[str, Any]:
        """The head by blocks, and the MLP by parameter names."""
        mlp = {name: value for name, value in self.state_dict().items() if not name.startswith("head.")}
        return {"head": self.head.get_state(), "mlp": mlp}

    def set_state(self, state: dict[str, Any]) -> None:
        """Load head and MLP; the head grows to match."""
        self.head.set_state(state["head"])
        self.load_state_dict(state["mlp"], strict=False)  # only the head's names are missing
