"""Recursive least squares: ridge regression on all images seen, updated by rank-k steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.errors import UsageError
from cl.parts.statistics.symmetric import blocks, condition_, packed, unpacked, wide

RESOLVED = 1e-13
"""The smallest share of the images' energy that a penalty may have: float64 has 16 digits."""


class RecursiveRidge:
    """The minimiser W [d, C] of sum_i f^(n - i) |y_i - x_i W|^2 + penalty f^n |W|^2 over the n images so far, exactly.

    With forgetting f = 1 this is ridge regression on all images, whatever their order. An update with k images costs
    k d^2, however many came before. A new class has target 0 for all earlier images, so its weights start at 0. The
    state is float64: the inverse Phi [d, d], of which the upper triangle is saved, and W.
    """

    stores = "statistics"

    def __init__(self, dim: int, penalty: float, forgetting: float = 1.0, device: torch.device | str = "cpu") -> None:
        self.forgetting, self.penalty, self.energy = forgetting, penalty, 0.0
        self.inverse = torch.eye(dim, dtype=torch.float64, device=wide(device)) / penalty
        self.weights = torch.zeros(dim, 0, dtype=torch.float64, device=wide(device))

    def add(self, features: Tensor, labels: Tensor, classes: int) -> None:
        """Add images in their order: features [N, d], position labels [N]; `classes` is the number of classes so far.

        Raises `UsageError` if so little of the penalty is left that float64 cannot tell it from 0.
        """
        x = features.to(self.weights)
        y = F.one_hot(labels.to(x.device), classes).to(x)
        self.weights = F.pad(self.weights, (0, classes - self.weights.shape[1]))
        for rows, targets in blocks(x, y):
            age = torch.arange(len(rows) - 1, -1, -1, dtype=x.dtype, device=x.device)
            old, shares = self.forgetting ** len(rows), self.forgetting**age
            self.penalty *= old
            self.energy = old * self.energy + float((shares * rows.square().sum(1)).sum())
            if not self.penalty > RESOLVED * self.energy:
                raise UsageError(
                    f"the ridge penalty has become {self.penalty:.1g}, too small beside features of energy "
                    f"{self.energy:.1g} for float64; set a larger ridge, or a forgetting factor nearer to 1."
                )
            self.inverse /= old
            gain = condition_(self.inverse, rows, 1 / shares)
            self.weights += gain.T @ (targets - rows @ self.weights)

    def scores(self, features: Tensor) -> Tensor:
        """x W [N, C], float64, on the device of the features if it has float64."""
        return features.to(self.weights) @ self.weights

    def get_state(self) -> dict[str, Any]:
        return {
            "inverse": packed(self.inverse), "weights": self.weights, "penalty": self.penalty, "energy": self.energy
        }  # fmt: skip

    def set_state(self, state: dict[str, Any]) -> None:
        self.inverse = unpacked(state["inverse"].to(self.weights.device))
        self.weights = state["weights"].to(self.weights.device)
        self.penalty, self.energy = state["penalty"], state["energy"]
