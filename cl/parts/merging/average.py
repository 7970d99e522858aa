"""Merging without data, tensor by tensor: averages, sums, and TIES."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cl.errors import UsageError
from cl.parts.merging.vectors import Weights, check_alike, check_finite, check_vectors, order_statistic


def average(vectors: Sequence[Weights]) -> dict[str, Tensor]:
    """The mean of task vectors, or of checkpoints (model soups, Wortsman et al. 2022).

    Integer tensors of checkpoints, such as the batch counts of batch norms, are those of the first.
    """
    check_alike(vectors)
    found = {}
    for name, first in vectors[0].items():
        found[name] = _sum(vectors, name).div_(len(vectors)).to(first.dtype) if first.is_floating_point() else first
    return found


def task_arithmetic(vectors: Sequence[Weights], scale: float = 0.3) -> dict[str, Tensor]:
    """`scale` times the sum of task vectors (Ilharco et al. 2023)."""
    check_vectors(vectors)
    return {name: _sum(vectors, name).mul_(scale).to(first.dtype) for name, first in vectors[0].items()}


def running_average(mean: Weights, vector: Weights, count: int) -> dict[str, Tensor]:
    """The mean of `count` task vectors or checkpoints, from the mean of all but the last and the last.

    Integer tensors of checkpoints are those of the mean, as in `average`.
    """
    check_alike([mean, vector])
    check_finite(vector)
    if not count >= 1:
        raise UsageError(f"count={count}: give the number of task vectors in the mean, the last one included.")
    return {
        name: tensor.lerp(vector[name], 1 / count) if tensor.is_floating_point() else tensor
        for name, tensor in mean.items()
    }


def smallest_kept(vector: Weights, keep: float) -> float:
    """The size of the smallest value among a share `keep` of the largest values of a whole task vector.

    Of d values int(keep d) + 1 are kept, as in the code of TIES, and all that are as large as the smallest.
    """
    if not 0 < keep <= 1:
        raise UsageError(f"keep={keep} is not a share of the values; give a number above 0 and at most 1.")
    check_finite(vector)
    values = sum(tensor.numel() for tensor in vector.values())
    dropped = values - int(values * keep)
    return order_statistic(vector, dropped - 1) if dropped else 0.0


def ties(vectors: Sequence[Weights], keep: float = 0.2, how: str = "mean") -> dict[str, Tensor]:
    """TIES: keep the largest values of each vector, elect a sign per parameter, merge the values of this sign.

    Yadav et al. 2023 (arXiv 2306.01708). The sign is that of the sum of the kept values; if the sum is zero, that of
    most parameters; if there is no majority either, no value is merged (the code takes the negative ones). `how` is
    "mean" over the values of this sign, "sum", or "max", the largest. The vectors are read one tensor after another,
    five times: twice for the quantiles, then for the majority, the signs and the values.
    """
    if how not in ("mean", "sum", "max"):
        raise UsageError(f"TIES merges by mean, sum or max, not by {how!r}.")
    check_vectors(vectors)
    limits = [smallest_kept(vector, keep) for vector in vectors]
    majority = sum(float(_sum(vectors, name, limits).sign().sum()) for name in vectors[0])
    found = {}
    for name, first in vectors[0].items():
        sign = _sum(vectors, name, limits).sign_()
        sign = torch.where(sign == 0, torch.as_tensor(majority).sign().to(sign), sign)
        total, count = torch.zeros_like(sign), torch.zeros_like(sign)  # sums, or with "max" the largest sizes
        for vector, limit in zip(vectors, limits, strict=True):
            kept = _trimmed(vector[name], limit).to(total)
            kept = kept.where(kept * sign > 0, 0)
            total = torch.maximum(total, kept.abs()) if how == "max" else total.add_(kept)
            count += kept != 0
        if how == "mean":
            total /= count.clamp(min=1)
        found[name] = (total * sign if how == "max" else total).to(first.dtype)
    return found


def _sum(vectors: Sequence[Weights], name: str, limits: Sequence[float] = ()) -> Tensor:
    """The sum of one tensor of all vectors, read one by one; with `limits`, of the values that TIES keeps of them.

    In float32 or wider: sums of 16-bit values lose digits, and can be infinite where their mean is not.
    """
    first = vectors[0][name]
    total = torch.zeros_like(first, dtype=torch.promote_types(first.dtype, torch.float32))
    for number, vector in enumerate(vectors):
        values = vector[name]
        check_finite({name: values})
        total += _trimmed(values, limits[number]) if limits else values
    return total


def _trimmed(values: Tensor, limit: float) -> Tensor:
    """Values with those below the limit of their vector set to 0."""
    return values.where(values.abs() >= limit, 0)
