"""Records of few-shot runs with a worked example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cl.protocol import FEW_SHOT

Make = Callable[..., dict[str, Any]]

# 600 base images, then 50 and 50: 540 right of 600; 500 and 20; 450, 15 and 25
COUNTS: list[list[int | None]] = [[540, None, None], [500, 20, None], [450, 15, 25]]

IMAGES = [600, 50, 50]


def runs(make: Make, strategy: str, **changes: Any) -> list[dict[str, Any]]:
    return [make(COUNTS, strategy=strategy, seed=seed, result__count=IMAGES, **changes) for seed in range(2)]


def few_shot_runs(make: Make, strategy: str, **changes: Any) -> list[dict[str, Any]]:
    return runs(make, strategy, result__stream__setting=FEW_SHOT, **changes)
