"""PCB-Merging: parameters of task vectors compete, within a task and between tasks; only the winners are merged."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cl.errors import UsageError
from cl.parts.merging.vectors import Weights, check_finite, check_moved, check_vectors, flat


def balances(vectors: Sequence[Weights], keep: float = 0.05, clip: float = 0.01, *, raw: bool = False) -> list[Tensor]:
    """The weight of every parameter in each of T task vectors, [d] in 0 to 1; see `pcb`."""
    if not 0 < keep <= 1 or not 0 <= clip < 0.5:
        raise UsageError(f"PCB-Merging needs 0 < keep <= 1 and 0 <= clip < 0.5, not keep={keep} and clip={clip}.")
    check_vectors(vectors)
    for vector in vectors:
        check_finite(vector)
        check_moved(vector)
    total = torch.zeros_like(flat(vectors[0]))
    for vector in vectors:
        total += flat(vector) if raw else _signed(flat(vector), clip)
    found = []
    for vector in vectors:
        values = flat(vector)
        # exp(T (x^2 - 1)), not exp(T x^2), which overflows for many tasks: the factor cancels in _spread
        within = torch.exp(len(vectors) * (_spread(_clipped(values.abs(), clip)).square() - 1))
        balance = within * torch.tanh(values * total)
        found.append(_spread(balance.clamp(min=_order(balance, 1 - keep))))
    return found


def pcb(
    vectors: Sequence[Weights],
    keep: float = 0.05,
    scales: Sequence[float] | float = 1.2,
    clip: float = 0.01,
    *,
    raw: bool = False,
) -> dict[str, Tensor]:
    """The merged task vector: sum_i lambda_i s_i clamp(t_i) / sum_i s_i, with s from `balances`.

    Du et al. 2024 (arXiv 2410.02396). Within a task, large values win: exp(T norm(|t_i|)^2); between tasks, values that
    agree with the sum win: tanh(t_i sum_j t~_j), where t~ is normalised as in the code for vision, or the vector itself
    (`raw`, as in the other script). The lowest 1 - keep of the balances get weight 0. Sizes are clamped to the order
    statistics at `clip` and 1 - clip. Quantiles are those of whole vectors, so one vector is copied at a time, and T
    weights per parameter are held: the T vectors and as much again. Raises `UsageError` for vectors of different
    networks, vectors of zeros, and values that are not finite.
    """
    factors = [float(scales)] * len(vectors) if isinstance(scales, (int, float)) else list(scales)
    if len(factors) != len(vectors):
        raise UsageError(f"{len(factors)} scales were given for {len(vectors)} task vectors; give one per vector.")
    weights = balances(vectors, keep, clip, raw=raw)
    above, below = torch.zeros_like(weights[0]), torch.zeros_like(weights[0])
    for vector, weight, factor in zip(vectors, weights, factors, strict=True):
        values = flat(vector)
        above += factor * weight * values.sign() * _clipped(values.abs(), clip)
        below += weight
    return _shaped(above / below.clamp(min=1e-12), vectors[0])


def _signed(values: Tensor, clip: float) -> Tensor:
    return values.sign() * _spread(_clipped(values.abs(), clip))


def _clipped(sizes: Tensor, clip: float) -> Tensor:
    return sizes.clamp(_order(sizes, clip), _order(sizes, 1 - clip, last=True))


def _order(values: Tensor, share: float, *, last: bool = False) -> Tensor:
    """The order statistic at int(d share), or the one before it."""
    place = int(len(values) * share - 1) if last else int(len(values) * share)
    return values.kthvalue(min(max(place, 0), len(values) - 1) + 1).values


def _spread(values: Tensor) -> Tensor:
    """Values scaled to 0 to 1; all 0 if they are equal."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if bool(high > low) else torch.zeros_like(values)


def _shaped(values: Tensor, like: Weights) -> dict[str, Tensor]:
    parts = values.split([tensor.numel() for tensor in like.values()])
    return {
        name: part.reshape(tensor.shape).to(tensor.dtype)
        for (name, tensor), part in zip(like.items(), parts, strict=True)
    }
