"""Step sizes that only fall: sums over all steps of a run, of squared gradients or of sensitivities (S-MAS)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

KINDS = ("adagrad", "s-mas", "sgd")
EPS = 1e-6


class Accumulated:
    """A sum per value of each named tensor, from 0; nothing resets it."""

    stores = "statistics"

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}

    def add(self, name: str, amount: Tensor) -> Tensor:
        """Add to the sum of a tensor, and return it."""
        if name not in self.sums:
            self.sums[name] = torch.zeros_like(amount)
        return self.sums[name].add_(amount)

    def get_state(self) -> dict[str, Tensor]:
        return self.sums

    def set_state(self, state: dict[str, Tensor]) -> None:
        self.sums = dict(state)


class AccumulatedStep(torch.optim.Optimizer):
    """theta -= lr g / sqrt(Omega + 1e-6): Omega is the sum of decay g^2 (adagrad) or of decay times a sensitivity
    (s-mas), which `sensitivity` gives by name; sgd has no Omega.

    Groups name their tensors under "tensors". The sums are in the part, so they outlive a fit.
    """

    def __init__(
        self, params: Iterable[Any], sums: Accumulated, *, kind: str, lr: float, decay: float,
        sensitivity: Callable[[], Mapping[str, Tensor]],
    ) -> None:  # fmt: skip
        super().__init__(params, {"lr": lr})
        self.sums, self.kind, self.decay, self.sensitivity = sums, kind, decay, sensitivity

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        found = self.sensitivity() if self.kind == "s-mas" else {}
        for group in self.param_groups:
            for name, parameter in zip(group["tensors"], group["params"], strict=True):
                if parameter.grad is None:
                    continue
                if self.kind == "sgd":
                    parameter.sub_(parameter.grad, alpha=group["lr"])
                    continue
                amount = parameter.grad.square() if self.kind == "adagrad" else found[name].abs()
                total = self.sums.add(name, amount.mul_(self.decay))
                parameter.sub_(group["lr"] * parameter.grad * (total + EPS).rsqrt_())
