"""Named random streams: every draw belongs to a purpose, none to shared global state.

A generator is derived from a seed and a key such as ("batches", task, phase, epoch). Switching off one part of a
method, or resuming in the middle, changes no other draw.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

import numpy as np

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


def numpy_generator(seed: int, *key: Key) -> np.random.Generator:
    """A fresh, counter-based (Philox) NumPy generator for the named stream."""
    return np.random.Generator(np.random.Philox(key=derive(seed, *key)))
