"""Choice between the fused attention kernel and plain products, whose backward pass is faster on CPUs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, cast

import torch
from torch import nn


def slow_to_differentiate(modules: Iterable[nn.Module], device: torch.device) -> list[Any]:
    """The attention modules in `modules` that would use the fused kernel on a CPU; empty for other devices.

    In bf16, its backward pass takes a third of a training step of a small ViT on a CPU (benchmarks/cpu_kernels.py). In
    fp32 the fused kernel is faster, by 2 % of a step with batches of 20 and 6 % with batches of 64.
    """
    if device.type != "cpu":
        return []
    inside = (part for module in modules for part in module.modules())
    return [cast(Any, part) for part in inside if getattr(part, "fused_attn", False)]


@contextlib.contextmanager
def explicit(attention: Iterable[Any]) -> Iterator[None]:
    """Within a `with` block, let these modules compute softmax(q k^T) v as plain products; equal up to rounding."""
    parts = list(attention)
    for part in parts:
        part.fused_attn = False
    try:
        yield
    finally:
        for part in parts:
            part.fused_attn = True


@contextlib.contextmanager
def without_fast_path() -> Iterator[None]:
    """Within a `with` block, PyTorch's multi-head attention takes the same path with and without gradients.

    Its fast path without gradients is one operator, whose FLOPs are not counted.
    """
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
