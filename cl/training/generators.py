"""PyTorch generators of named random streams, and the state of the global generators."""

from __future__ import annotations

import contextlib
import random as python_random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from cl.random import Key, derive


def generator(seed: int, *key: Key) -> torch.Generator:
    """A new generator for the named stream, on the CPU, so that draws are the same on every device."""
    return torch.Generator().manual_seed(derive(seed, *key))


def seed_globals(seed: int, *key: Key) -> None:
    """Seed the global generators (dropout, third-party code) for a named stream."""
    value = derive(seed, *key)
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        torch.manual_seed(value)
    else:  # `torch.manual_seed` would also add a call to a queue for each kind of accelerator, which nothing empties
        torch.default_generator.manual_seed(value)
    np.random.seed(value % 2**32)
    python_random.seed(value)


def global_state() -> dict[str, Any]:
    """The state of the global generators as tensors and JSON scalars, for a checkpoint within a phase."""
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
    """Restore a state from `global_state`."""
    torch.set_rng_state(state["torch"])
    name, position, has_gauss, cached = state["numpy"]["rest"]
    np.random.set_state((name, state["numpy"]["keys"].numpy().astype(np.uint32), position, has_gauss, cached))
    version, gauss = state["python"]["rest"]
    python_random.setstate((version, tuple(state["python"]["keys"].tolist()), gauss))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


@contextlib.contextmanager
def generators_untouched() -> Iterator[None]:
    """Restore the global random generators after a `with` block: loading a learner must not reseed its caller."""
    before = global_state()
    try:
        yield
    finally:
        set_global_state(before)
