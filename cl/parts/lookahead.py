"""The change that the next step of an optimiser would make, before the step is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cl.errors import ContractError


def planned(
    optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor], gradients: Sequence[Tensor] | None = None
) -> list[Tensor]:
    """What Adam would add to each of the parameters in its next step; neither they nor its moments change.

    `gradients` take the place of the parameters' own (none counts as 0); the result is differentiable by them, except
    where the second moment is 0: the slope of its root is infinite there, and such a change counts as constant.
    Raises `ContractError` for another optimiser, and for Adam with weight decay or amsgrad.
    """
    groups = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    if type(optimizer) is not torch.optim.Adam or any(g["weight_decay"] or g["amsgrad"] for g in groups.values()):
        raise ContractError(f"the next step is known for Adam without weight decay, not for {optimizer}.")
    if gradients is None:
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    return [
        _change(groups[id(parameter)], optimizer.state.get(parameter, {}), gradient)
        for parameter, gradient in zip(parameters, gradients, strict=True)
    ]


def _change(group: dict[str, Any], moments: dict[str, Tensor], gradient: Tensor) -> Tensor:
    """-lr m / (sqrt(v) + eps), with the moments after the step and their corrections."""
    (beta1, beta2), rate, eps = group["betas"], group["lr"], group["eps"]
    first, second = (1 - beta1) * gradient, (1 - beta2) * gradient.square()
    step: Tensor | int = 1
    if moments:
        first, second = beta1 * moments["exp_avg"] + first, beta2 * moments["exp_avg_sq"] + second
        step = moments["step"] + 1
    moves = second > 0
    root = (torch.where(moves, second, 1.0) / (1 - beta2**step)).sqrt()
    return torch.where(moves, first / (root + eps), 0.0) * (-rate / (1 - beta1**step))
