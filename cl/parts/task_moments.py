"""Moments of gradients that are kept for each task and tensor, and the optimiser that steps by them (TAG)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

KINDS = ("rmsprop", "adagrad", "adam")
EPS = 1e-8


class TaskMoments:
    """First and second moments of the gradient of each named tensor, of every task.

    Moments of the current task change with each step; `end_task` turns its first moment into a direction of length 1
    and keeps both. A tensor that appears later has no rows for the tasks before.
    """

    stores = "statistics"

    def __init__(self) -> None:
        self.first: dict[str, Tensor] = {}
        self.second: dict[str, Tensor] = {}
        self.steps: dict[str, int] = {}  # of the current task
        self.directions: dict[str, Tensor] = {}  # [earlier tasks, values of the tensor]
        self.seconds: dict[str, Tensor] = {}
        self.tasks = 0

    def observe(self, name: str, gradient: Tensor, *, kind: str, beta1: float, beta2: float) -> None:
        """Add the gradient of a step to the moments of the current task."""
        if name not in self.first:
            self.first[name], self.second[name] = torch.zeros_like(gradient), torch.zeros_like(gradient)
            self.steps[name] = 0
        self.first[name].mul_(beta1).add_(gradient, alpha=1 - beta1)
        if kind == "adagrad":
            self.second[name].addcmul_(gradient, gradient)
        else:
            self.second[name].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        self.steps[name] += 1

    def alphas(self, name: str, b: float) -> Tensor:
        """The weights of the second moments of earlier tasks, [earlier tasks]: exp(-b cos), the angle between the
        first moments; without a gradient so far the cosine counts as 0."""
        now = self.first[name].flatten()
        if name not in self.directions:
            return now.new_zeros(0)
        return (-b * (self.directions[name] @ _unit(now))).exp()

    def denominator(self, name: str, b: float) -> Tensor:
        """sqrt(sum over tasks of alpha * second moment): the current task has the weight exp(-b), the first task 1."""
        own = self.second[name] * (math.exp(-b) if self.tasks else 1.0)
        if name in self.seconds:
            own += (self.alphas(name, b) @ self.seconds[name]).view_as(own)
        return own.sqrt_()

    def end_task(self) -> None:
        """Keep the moments of the current task beside those of earlier ones."""
        for name, first in self.first.items():
            for kept, row in ((self.directions, _unit(first.flatten())), (self.seconds, self.second[name].flatten())):
                kept[name] = torch.cat([kept[name], row[None]]) if name in kept else row[None].clone()
        self.first, self.second, self.steps = {}, {}, {}
        self.tasks += 1

    def get_state(self) -> dict[str, Any]:
        return dict(vars(self))

    def set_state(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


def _unit(values: Tensor) -> Tensor:
    """A vector of length 1, or zeros for zeros."""
    return values / values.norm().clamp(min=torch.finfo(values.dtype).tiny)


class MomentStep(torch.optim.Optimizer):
    """RMSProp, Adagrad or Adam whose second moments are those of all tasks (TAG).

    Groups name their tensors under "tensors". The moments are in the part, not in the optimiser's state: they outlive
    a fit, and checkpoints hold them once.
    """

    def __init__(
        self, params: Iterable[Any], moments: TaskMoments, *, kind: str, lr: float, b: float, beta1: float = 0.9,
        beta2: float = 0.99, weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(params, {"lr": lr})
        self.moments, self.kind, self.b, self.weight_decay = moments, kind, b, weight_decay
        self.beta1, self.beta2 = beta1, beta2

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for name, parameter in zip(group["tensors"], group["params"], strict=True):
                if parameter.grad is not None:
                    parameter.sub_(group["lr"] * self._update(name, parameter))

    def _update(self, name: str, parameter: Tensor) -> Tensor:
        moments, kind = self.moments, self.kind
        assert parameter.grad is not None
        gradient = parameter.grad.add(parameter, alpha=self.weight_decay) if self.weight_decay else parameter.grad
        moments.observe(name, gradient, kind=kind, beta1=self.beta1, beta2=self.beta2)
        size = moments.denominator(name, self.b)
        if kind != "adam":
            return gradient / size.add_(EPS)
        n = moments.steps[name]
        size /= math.sqrt(1 - self.beta2**n)
        return moments.first[name] / (1 - self.beta1**n) / size.add_(EPS)
