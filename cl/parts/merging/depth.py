"""Scaling a task vector by depth: LiNeS, and the averaging of adapted models (AMA)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import Tensor

from cl.errors import UsageError
from cl.parts.merging.vectors import Weights

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


def group_factors(names: Sequence[str], coefficients: Sequence[float]) -> dict[str, float]:
    """One coefficient for each of several groups of consecutive blocks, from input to output (Lin et al. 2024).

    Tensors before the first block (embeddings, stem) belong to the first group, others outside of blocks to the last.
    """
    found = depths(names)
    blocks = 1 + max(depth for depth in found.values() if depth is not None)
    if not 1 <= len(coefficients) <= blocks:
        raise UsageError(f"{len(coefficients)} coefficients cannot be spread over {blocks} blocks; give 1 to {blocks}.")
    started, factors = False, {}
    for name, depth in found.items():
        started |= depth is not None
        group = (len(coefficients) - 1) * started if depth is None else depth * len(coefficients) // blocks
        factors[name] = coefficients[group]
    return factors


def scaled(vector: Weights, factors: dict[str, float]) -> dict[str, Tensor]:
    """The task vector with each tensor multiplied by its factor."""
    return {name: factors[name] * tensor for name, tensor in vector.items()}
