"""Avalanche's strategies on the tiny backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cl import registry
from tests.conftest import make

NAMES = ("naive", "ewc", "lwf", "replay", "icarl", "slda")
QUICK: dict[str, Any] = {"epochs": 2, "batch_size": 8, "lr": 0.05, "augment": "crop"}


def build(name: str, folder: Path | None = None, **options: Any) -> Any:
    method = registry.strategies.get(f"avalanche/{name}")
    chosen = {} if name == "slda" else QUICK | {"mem_size": 10} if name == "replay" else QUICK
    if name == "icarl":
        chosen = chosen | {"memory_size": 8}
    return make(method, folder=folder, **chosen | options)
