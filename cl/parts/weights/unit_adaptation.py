"""Factors of units, one per unit and task, each switched on by a relaxed Bernoulli variable (CLAW)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class UnitAdaptation:
    """For each task, whether and how far each unit is adapted: a factor 1 + b (m sigmoid(a) - 1) of its output.

    b is 1 with probability p, m > 0 is the unit's maximum. A task's tensors [3, units], one per layer, hold the logit
    of p, a, and log m. They start as p = 1/2, a = 0, m = 2: all factors are 1.
    """

    stores = "parameters"

    def __init__(self, widths: Iterable[int], device: torch.device | str = "cpu") -> None:
        self._start = [torch.zeros(3, width, device=device) for width in widths]
        for values in self._start:
            values[2] = math.log(2)
        self.current: list[nn.Parameter] = []
        self.tasks: list[list[Tensor]] = []  # of tasks that are done; they never change

    def __len__(self) -> int:
        return len(self.tasks)

    def add(self) -> None:
        """Begin a task, with factors of 1."""
        self.current = [nn.Parameter(values.clone(), requires_grad=False) for values in self._start]

    def keep(self) -> None:
        """End the task: its adaptation is kept as it is."""
        self.tasks.append([values.detach().clone() for values in self.current])
        self.current = []

    def drawn(self, copies: int, temperature: float) -> list[Tensor]:
        """Factors [copies, units] of the current task, with b from the Concrete relaxation at a temperature."""
        return [factors(values, concrete(values[0], copies, temperature)) for values in self.current]

    def sampled(self, task: int, copies: int, generator: torch.Generator) -> list[Tensor]:
        """Factors [copies, units] of a task that is done, with b of 0 or 1."""
        return [factors(values, concrete(values[0], copies, 0.0, generator)) for values in self.tasks[task]]

    def expected(self, task: int) -> list[Tensor]:
        """Mean factors [1, units] of a task that is done."""
        return [factors(values, values[0].sigmoid()[None]) for values in self.tasks[task]]

    def kl(self, prior: float) -> Tensor:
        """The KL divergence of all p of the current task from a prior probability, in nats."""
        return torch.stack([_bernoulli(values[0], prior).sum() for values in self.current]).sum()

    def adapted(self, task: int) -> float:
        """The share of units that a task adapts (p above 1/2)."""
        return float(torch.cat([values[0] for values in self.tasks[task]]).gt(0).float().mean())

    def get_state(self) -> dict[str, Any]:
        return {"current": [values.detach() for values in self.current], "tasks": self.tasks}

    @torch.no_grad()
    def set_state(self, state: dict[str, Any]) -> None:
        if len(self.current) != len(state["current"]):
            self.current = []
            if state["current"]:
                self.add()
        for values, new in zip(self.current, state["current"], strict=True):
            values.copy_(new)
        self.tasks = [
            [new.to(start.device) for new, start in zip(task, self._start, strict=True)] for task in state["tasks"]
        ]


def concrete(logits: Tensor, copies: int, temperature: float, generator: torch.Generator | None = None) -> Tensor:
    """Draws [copies, units] of a relaxed Bernoulli variable with these logits; at temperature 0 they are 0 or 1."""
    device = logits.device if generator is None else torch.device("cpu")
    uniform = torch.rand(copies, len(logits), generator=generator, device=device).clamp(1e-6, 1 - 1e-6)
    shifted = logits + torch.logit(uniform).to(logits.device)
    return (shifted / temperature).sigmoid() if temperature else shifted.gt(0).float()


def factors(values: Tensor, switches: Tensor) -> Tensor:
    """1 + b (m sigmoid(a) - 1) for b [copies, units]."""
    return 1 + switches * (values[2].exp() * values[1].sigmoid() - 1)


def _bernoulli(logits: Tensor, prior: float) -> Tensor:
    """KL(Bernoulli(sigmoid(logits)) || Bernoulli(prior)) of each unit."""
    on, off = F.logsigmoid(logits), F.logsigmoid(-logits)
    return on.exp() * (on - math.log(prior)) + off.exp() * (off - math.log(1 - prior))
