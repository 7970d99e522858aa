"""Averaging of two checkpoints by the Fisher information of their weights (CoFiMA)."""

from __future__ import annotations

import torch
from torch import Tensor

from cl.errors import UsageError
from cl.parts.merging.vectors import Weights, check_alike, check_finite


def fisher_average(
    before: Weights, after: Weights, alpha: float, fisher: tuple[Weights, Weights] | None = None
) -> dict[str, Tensor]:
    """((1 - a) F0 theta0 + a F1 theta1) / ((1 - a) F0 + a F1) for each weight (Marouf et al. 2024, arXiv 2312.08977).

    `before` is theta0 and `after` theta1; `fisher` has their diagonal Fisher informations F0 and F1, >= 0, None: all 1
    (CoMA). A weight without any Fisher information gets the plain average, (1 - a) theta0 + a theta1. Integer tensors
    are those of `after`. Raises `UsageError` for an `alpha` outside of 0 to 1, for tensors of other names or shapes,
    and for a weight that is not finite.
    """
    if not 0 <= alpha <= 1:
        raise UsageError(f"alpha={alpha} is the share of the newer weights in the average; give a number from 0 to 1.")
    check_alike([before, after, *(fisher or ())])
    check_finite(before)
    check_finite(after)
    found = {}
    for name, new in after.items():
        if not new.is_floating_point():
            found[name] = new
            continue
        share: float | Tensor = alpha
        if fisher is not None:
            added = alpha * fisher[1][name]
            total = (1 - alpha) * fisher[0][name] + added
            share = torch.where(total > 0, added / total, alpha)
        found[name] = torch.lerp(before[name], new, share)
    return found
