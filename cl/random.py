"""Named random streams: every draw belongs to a purpose, none to shared global state.

A generator is derived from a seed and a key such as ("batches", task, phase, epoch), so switching one part of a
method off, or resuming in the middle, leaves every other draw as it was.
"""

from __future__ import annotations

import hashlib
import random as python_random
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

Key = str | int


@dataclass(frozen=True)
class Seeds:
    """The three seeds of a run: class order, initialisation of new parameters, and data (batches, augmentation)."""

    order: int = 1993
    init: int = 1993
    data: int = 1993

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def derive(seed: int, *key: Key) -> int:
    """A 63-bit seed that depends on `seed` and on every part of `key` (SHA-256, the same on every system)."""
    text = "\x1f".join([str(seed), *(f"{type(part).__name__}:{part}" for part in key)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, *key: Key) -> torch.Generator:
    """A fresh CPU generator for the named stream; CPU so that draws are the same on every device."""
    return torch.Generator().manual_seed(derive(seed, *key))


def numpy_generator(seed: int, *key: Key) -> np.random.Generator:
    """A fresh, counter-based (Philox) NumPy generator for the named stream."""
    return np.random.Generator(np.random.Philox(key=derive(seed, *key)))


def seed_globals(seed: int, *key: Key) -> None:
    """Point the global generators (dropout, third-party code) at a named stream."""
    value = derive(seed, *key)
    torch.manual_seed(value)
    np.random.seed(value % 2**32)
    python_random.seed(value)


def global_state() -> dict[str, Any]:
    """The state of the global generators as tensors and JSON scalars, for a checkpoint inside a phase."""
    legacy = np.random.get_state(legacy=False)
    numpy_rest = [legacy["bit_generator"], legacy["state"]["pos"], legacy["has_gauss"], legacy["gauss"]]
    version, internal, gauss = python_random.getstate()
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": {"keys": torch.from_numpy(legacy["state"]["key"].astype(np.int64)), "rest": numpy_rest},
        "python": {"keys": torch.tensor(internal, dtype=torch.int64), "rest": [version, gauss]},
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_global_state(state: dict[str, Any]) -> None:
    """Restore what `global_state` returned."""
    torch.set_rng_state(state["torch"])
    name, position, has_gauss, cached = state["numpy"]["rest"]
    np.random.set_state((name, state["numpy"]["keys"].numpy().astype(np.uint32), position, has_gauss, cached))
    version, gauss = state["python"]["rest"]
    python_random.setstate((version, tuple(state["python"]["keys"].tolist()), gauss))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
