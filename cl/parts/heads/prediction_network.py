"""Linear layers on features that are drawn again in part: the prediction network of online-aware meta-learning."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class PredictionNetwork(nn.Module):
    """Features [B, dim] to logits [B, classes] of all classes of a stream, by one linear layer or by two.

    Weights are drawn from a normal distribution of variance 2 / inputs, biases are 0. Between two
    layers is a ReLU.
    """

    def __init__(self, dim: int, classes: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = nn.Linear(dim, hidden) if hidden else None
        self.last = nn.Linear(hidden or dim, classes)
        self.redraw(generator)
        self.requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.last(features if self.first is None else self.first(features).relu())
        return logits

    @torch.no_grad()
    def redraw(self, generator: torch.Generator, *, last: bool = False) -> None:
        """Draw all layers again, or only the last."""
        for layer in [self.last] if last or self.first is None else [self.first, self.last]:
            layer.weight.copy_(_he(layer.weight.shape, generator))
            layer.bias.zero_()

    @torch.no_grad()
    def redraw_rows(self, classes: Tensor, generator: torch.Generator) -> None:
        """Draw the last layer's weights of some classes again; their biases stay."""
        self.last.weight[classes] = _he((len(classes), self.last.in_features), generator).to(self.last.weight)


def _he(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.empty(shape).normal_(0, math.sqrt(2 / shape[-1]), generator=generator)
