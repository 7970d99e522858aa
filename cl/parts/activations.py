"""Activations that stand in for those of a network, and sparse codes: Hard ASH and winner-take-all."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.backbone import Backbone
from cl.errors import UsageError
from cl.parts.weights.lend import Lent

REPLACED = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.GELU, nn.SiLU)
GATES = ("sigmoid", "hard")


class HardASH(nn.Module):
    """clip(x, 0, 2) * gate(alpha (x - mean - zk * std)); mean and deviation are over the units of one image.

    `gate` is the sigmoid or its piecewise linear form ("hard").
    """

    def __init__(self, zk: float, alpha: float = 3.0, gate: str = "sigmoid") -> None:
        super().__init__()
        self.zk, self.alpha, self.gate = zk, alpha, gate

    def forward(self, x: Tensor) -> Tensor:
        units = x.flatten(1)
        shape = [-1, *[1] * (x.ndim - 1)]
        mean, deviation = units.mean(1).view(shape), units.std(1, correction=0).view(shape)
        z = self.alpha * (x - mean - self.zk * deviation)
        return x.clamp(0, 2) * (torch.sigmoid(z) if self.gate == "sigmoid" else F.hardsigmoid(z))


def winners(x: Tensor, count: int) -> Tensor:
    """relu(x - v) of features [B, d], with v the `count`-th largest of a row: count - 1 values stay above 0."""
    return torch.relu(x - x.topk(count, dim=1).values[:, -1:])


def replace_activations(backbone: Backbone, make: Callable[[], nn.Module]) -> int:
    """Put a new module in the place of every activation of a network; returns how many.

    Raises `UsageError` for a network without activation modules.
    """
    names = [name for name, module in backbone.model.named_modules() if isinstance(module, REPLACED)]
    if not names:
        raise UsageError(
            f"backbone {backbone.identity['name']} has no activation to replace (ReLU or GELU as a module); choose "
            "another network, such as wsn_lenet@random."
        )
    for name in names:
        parent, _, last = name.rpartition(".")
        setattr(backbone.model.get_submodule(parent), last, make())
    return len(names)


def altered(backbone: Backbone, label: str) -> Lent:
    """The extractor of a network whose activations were replaced: its features are not those of the stock network."""
    return Lent(backbone, key=f"{label}:{backbone.key}")


gelu = functools.partial(nn.GELU, approximate="tanh")
"""GELU as JAX computes it by default."""
