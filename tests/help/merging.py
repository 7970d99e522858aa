"""Task vectors for tests of merging, in float64, and what they are when all tensors are concatenated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.errors import UsageError

SHAPES: dict[str, tuple[int, ...]] = {
    "blocks.0.qkv.weight": (12, 4), "blocks.0.fc.weight": (6, 4), "conv.weight": (3, 2, 2, 2), "bias": (5,), "gain": (),
}  # fmt: skip
"""Two linear layers, one of them fused, a convolution, a vector and a number."""

MATRICES = {"blocks.0.qkv.weight": 3, "blocks.0.fc.weight": 1}
"""The weights of linear layers, and the matrices fused in each."""

Vector = dict[str, Tensor]


def vectors(count: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> list[Vector]:
    """Task vectors of one network."""
    generator = torch.Generator().manual_seed(seed)
    return [
        {name: torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for name, shape in SHAPES.items()}
        for _ in range(count)
    ]


def dense(vector: Mapping[str, Tensor]) -> Tensor:
    """All values, [d]."""
    return torch.cat([tensor.flatten() for tensor in vector.values()])


def close(one: Mapping[str, Tensor], two: Mapping[str, Tensor], atol: float = 1e-12) -> None:
    """Assert that two vectors have the same names and shapes, and the same values up to rounding."""
    assert list(one) == list(two)
    for name, tensor in one.items():
        assert tensor.shape == two[name].shape and torch.allclose(tensor, two[name], rtol=0, atol=atol), name


def times(factor: float, vector: Mapping[str, Tensor]) -> Vector:
    """factor * vector."""
    return {name: factor * tensor for name, tensor in vector.items()}


def broken(kind: str) -> tuple[list[Any], str]:
    """Two vectors that cannot be merged, and how the sentence about it begins or what it contains."""
    one, two = vectors(2)
    if kind == "names":
        return [one, {**two, "head.weight": torch.ones(2)}], "only checkpoint 1 has a tensor 'head.weight'"
    if kind == "shapes":
        return [one, {**two, "bias": torch.ones(6)}], r"'bias' has the shape \[5\] in checkpoint 0 and \[6\] in checkpoint 1"
    if kind == "nested":
        return [one, {**two, "bias": {"value": two["bias"]}}], "'bias' of checkpoint 1 is a dict, not a tensor"
    if kind == "finite":
        return [one, {**two, "bias": torch.full((5,), torch.nan)}], "'bias' of a checkpoint has a value that is not finite"
    return [], "there is nothing to merge"


BROKEN = ("names", "shapes", "nested", "finite", "none")


def refused(call: Any, says: str) -> None:
    """Assert that a call is refused as wrong usage, in one sentence."""
    with pytest.raises(UsageError, match=says) as caught:
        call()
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value)


def still(module: nn.Module) -> None:
    """Turn dropout off, so that a plain loop needs no random numbers."""
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0


def stack(given: Sequence[Mapping[str, Tensor]]) -> Tensor:
    """The vectors as rows [T, d]."""
    return torch.stack([dense(vector) for vector in given])
