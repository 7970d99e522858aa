"""Shallow networks on the features of a frozen one, and a score that chooses among them without training."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = tuple(2**power for power in range(3, 11))
"""Units of a hidden layer: 8 to 1,024."""

LAYERS = (1, 2)
"""Numbers of hidden layers."""


class Shape(NamedTuple):
    """The architecture of an adaptor: which depths it reads, and its hidden layers."""

    depths: tuple[int, ...]
    width: int
    layers: int

    def parameters(self, dims: Sequence[int]) -> int:
        """Parameters of an adaptor of this shape."""
        read = sum(dims[depth] for depth in self.depths)
        inner = (self.layers - 1) * (self.width + 1) * self.width
        return (read + 1) * self.width + inner + (self.width + 1) * dims[-1]


def shapes(dims: Sequence[int], budget: int) -> list[Shape]:
    """All shapes with at most `budget` parameters, for depths of these dimensions; the smallest first."""
    places = range(len(dims))
    read = itertools.chain.from_iterable(itertools.combinations(places, n) for n in range(1, len(dims) + 1))
    found = [Shape(*each) for each in itertools.product(read, WIDTHS, LAYERS)]
    return sorted((each for each in found if each.parameters(dims) <= budget), key=lambda each: each.parameters(dims))


class ShallowAdaptor(nn.Module):
    """z = f + U h, with f the last depth and h the hidden layers ReLU(W .) of the depths that it reads.

    Each depth is standardised over its dimensions (LayerNorm without parameters). W is drawn as in `nn.Linear`, U and
    all biases are zero, so a new adaptor changes nothing.
    """

    def __init__(self, shape: Shape, dims: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        self.shape = shape
        sizes = [sum(dims[depth] for depth in shape.depths), *[shape.width] * shape.layers]
        layers = nn.ModuleList(nn.Linear(into, out) for into, out in itertools.pairwise(sizes))
        self.hidden = cast(list[nn.Linear], layers)  # typed by what it holds
        self.up = nn.Linear(shape.width, dims[-1])
        for layer in self.hidden:
            bound = 1 / math.sqrt(layer.in_features)
            with torch.no_grad():
                layer.weight.copy_(torch.empty(layer.weight.shape).uniform_(-bound, bound, generator=generator))
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)
        self.requires_grad_(False).eval()

    def activations(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """The hidden layers [B, width] of the features [B, dim] of each depth."""
        x, found = torch.cat([F.layer_norm(parts[d], parts[d].shape[1:]) for d in self.shape.depths], 1), []
        for layer in self.hidden:
            x = F.relu(layer(x))
            found.append(x)
        return found

    def forward(self, parts: Sequence[Tensor]) -> Tensor:
        return cast(Tensor, parts[-1] + self.up(self.activations(parts)[-1]))


@torch.no_grad()
def naswot(activations: Sequence[Tensor]) -> float:
    """log |det K| of ReLU layers [B, units], with K_ij the number of units that are on, or off, for both i and j.

    The score of Mellor, Turner, Storkey, Crowley: Neural Architecture Search without Training (ICML 2021, arXiv
    2006.04647); -inf if two images switch on the same units everywhere.
    """
    on = (torch.cat([each.flatten(1) for each in activations], 1) > 0).cpu().double()
    return float(torch.linalg.slogdet(on @ on.T + (1 - on) @ (1 - on).T)[1])


class AdaptorPool(nn.Module):
    """Adaptors of different shapes; only the last may be trained. Restoring a state changes their number."""

    def __init__(self, dims: Sequence[int], device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.dims, self.device = list(dims), device
        self.adaptors = cast(list[ShallowAdaptor], nn.ModuleList())  # typed by what it holds

    def __len__(self) -> int:
        return len(self.adaptors)

    def __getitem__(self, number: int) -> ShallowAdaptor:
        return self.adaptors[number]

    def add(self, shape: Shape, generator: torch.Generator) -> None:
        """Append a new adaptor."""
        self.adaptors.append(ShallowAdaptor(shape, self.dims, generator).to(self.device))

    def get_state(self) -> list[Any]:
        """Shape and parameters of each adaptor."""
        return [[list(each.shape), dict(each.state_dict())] for each in self.adaptors]

    def set_state(self, state: list[Any]) -> None:
        """Load the adaptors of `state`, adding or removing some to match."""
        del self.adaptors[len(state) :]
        for number, ((depths, width, layers), values) in enumerate(state):
            shape = Shape(tuple(depths), width, layers)
            if number < len(self) and self[number].shape != shape:
                del self.adaptors[number:]
            if number == len(self):
                self.add(shape, torch.Generator())
            self[number].load_state_dict(values)
