"""Scaling a task vector by depth: LiNeS, and the averaging of adapted models (AMA)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cl.errors import UsageError
from cl.parts.merging.vectors import Weights, double

_BLOCK = re.compile(r"(?:^|\.)(?:blocks|layer|layers|stages|features)\.?(\d+)(?:\.(?:blocks\.)?(\d+))?(?=\.)")
"""A block in the name of a tensor: blocks.3 of a Vision Transformer, layer2.1 of a ResNet, blocks.4.0 of an
EfficientNet."""


def depths(names: Sequence[str]) -> dict[str, int | None]:
    """The block of each tensor, from 0; None for tensors outside of blocks (embeddings, stem, final norm).

    Raises `UsageError` if no name has a block.
    """
    places = {name: _place(name) for name in names}
    order = {place: depth for depth, place in enumerate(sorted({place for place in places.values() if place}))}
    if not order:
        raise UsageError("the tensors have no numbered blocks to scale by depth; choose another network.")
    return {name: order[place] if place else None for name, place in places.items()}


def _place(name: str) -> tuple[int, int] | None:
    found = _BLOCK.search(name)
    return (int(found[1]), int(found[2] or 0)) if found else None


def lines_factors(names: Sequence[str], alpha: float, beta: float) -> dict[str, float]:
    """LiNeS: alpha + beta l / (L - 1) for block l of L, alpha elsewhere (Wang et al. 2025, arXiv 2410.17146)."""
    found = depths(names)
    last = max(max(depth for depth in found.values() if depth is not None), 1)
    return {name: alpha if depth is None else alpha + beta * depth / last for name, depth in found.items()}


def multi_task_alpha(total: Weights, merged: Weights, tasks: int) -> float:
    """LiNeS for a merged vector: alpha = |sum_i tau_i| / |merged| / T, in sums of absolute values, as in the code.

    `total` is the sum of the T task vectors. Raises `UsageError` if the merged vector is zero.
    """
    size = _absolute(merged)
    if size == 0:
        raise UsageError("the merged task vector is zero, so it has no length to scale by; merge other checkpoints.")
    return _absolute(total) / size / tasks


def _absolute(vector: Weights) -> float:
    return sum(float(double(tensor).abs().sum()) for tensor in vector.values())


def groups_of(names: Sequence[str], count: int) -> dict[str, int]:
    """The group of each tensor, of `count` groups of consecutive blocks from input to output (Lin et al. 2024).

    Each group has blocks // count blocks, and the last also the rest. Tensors before the first block (embeddings, stem)
    belong to the first group, others outside of blocks (the final norm) to the last.
    """
    found = depths(names)
    blocks = 1 + max(depth for depth in found.values() if depth is not None)
    if not 1 <= count <= blocks:
        raise UsageError(f"{count} coefficients cannot be spread over {blocks} blocks; give 1 to {blocks}.")
    started, groups = False, {}
    for name, depth in found.items():
        started |= depth is not None
        groups[name] = (count - 1) * started if depth is None else min(depth // (blocks // count), count - 1)
    return groups


def group_factors(names: Sequence[str], coefficients: Sequence[float]) -> dict[str, float]:
    """The coefficient of each tensor's group, see `groups_of`."""
    return {name: coefficients[group] for name, group in groups_of(names, len(coefficients)).items()}


def averaging_coefficients(raw: Tensor, mean: float, epsilon: float = 0.0) -> Tensor:
    """AMA: the coefficients of groups of blocks, [groups], from trained numbers; their mean is `mean`, each at most 1.

    mean (sigmoid(raw) + epsilon) / (mean over groups of sigmoid(raw) + epsilon), as in the code of Lin et al. 2024. The
    code has no upper bound.
    """
    raised = torch.sigmoid(raw) + epsilon
    return (mean * raised / raised.mean()).clamp(max=1)


def scaled(vector: Weights, factors: Mapping[str, float]) -> dict[str, Tensor]:
    """The task vector with each tensor multiplied by its factor. Raises `UsageError` if a tensor has none."""
    _check_factors(vector, factors)
    return {name: factors[name] * tensor for name, tensor in vector.items()}


def interpolated(origin: Weights, weights: Weights, factors: Mapping[str, float]) -> dict[str, Tensor]:
    """origin + factor (weights - origin) for each floating-point tensor of `weights`: `added(origin, scaled(...))`.

    A factor of 0 gives the tensor of `origin`, and 1 that of `weights`, bit for bit. A variance of a batch norm that a
    factor above 1 made negative becomes 0. Raises `UsageError` if a tensor has no factor or is not in `origin`.
    """
    moving = {name: tensor for name, tensor in weights.items() if tensor.is_floating_point()}
    _check_factors(moving, factors)
    if odd := sorted(set(moving) - set(origin)):
        raise UsageError(f"the origin has no tensor {odd[0]!r}; give two checkpoints of one network.")
    found = {}
    for name, tensor in moving.items():
        moved = torch.lerp(origin[name], tensor, factors[name])
        found[name] = moved.clamp(min=0) if name.endswith("running_var") else moved
    return found


def _check_factors(vector: Weights, factors: Mapping[str, float]) -> None:
    if odd := sorted(set(vector) - set(factors)):
        raise UsageError(
            f"tensor {odd[0]!r} has no factor; give one for each tensor, as lines_factors(names, ...) does."
        )
