"""Which attention a timm model computes: the fused kernel, or the plain products that CPUs differentiate faster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, cast

import torch
from torch import nn


def slow_to_differentiate(modules: Iterable[nn.Module], device: torch.device) -> list[Any]:
    """The attention modules inside `modules` that would run the fused kernel on a CPU.

    Under bf16 its backward is a third of a training step of a small ViT there (benchmarks/cpu_attention.py); in
    fp32, and in evaluation, the two are equally fast.
    """
    if device.type != "cpu":
        return []
    inside = (part for module in modules for part in module.modules())
    return [cast(Any, part) for part in inside if getattr(part, "fused_attn", False)]


@contextlib.contextmanager
def explicit(attention: Iterable[Any]) -> Iterator[None]:
    """Let these modules compute softmax(q k^T) v as plain products while the block lasts: the same to rounding."""
    parts = list(attention)
    for part in parts:
        part.fused_attn = False
    try:
        yield
    finally:
        for part in parts:
            part.fused_attn = True
