"""Comparing states."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def same(one: Any, two: Any) -> bool:
    """Whether two states are equal bit for bit."""
    if isinstance(one, Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(same(a, b) for a, b in zip(one, two, strict=True))
    return bool(one == two)
