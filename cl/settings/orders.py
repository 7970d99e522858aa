"""Class orders drawn as in the papers' code, without using the global generators."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np

from cl.data.store import IndexArray
from cl.errors import UsageError, did_you_mean

MAX_SEED = 2**32 - 1
"""The largest seed of the legacy NumPy generator."""


def _pycil(n: int, seed: int) -> list[int]:
    return np.random.RandomState(seed).permutation(n).tolist()


def _python(n: int, seed: int) -> list[int]:
    order = list(range(n))
    random.Random(seed).shuffle(order)
    return order


RULES: dict[str, Callable[[int, int], list[int]]] = {
    "pycil": _pycil,
    "natural": lambda n, seed: list(range(n)),
    "coda": lambda n, seed: _python(n, seed) if seed else list(range(n)),
    "python": _python,
}
"""Name of a rule -> `rule(n_classes, seed)`.

"pycil": numpy.random.seed(s); numpy.random.permutation(n) (PyCIL, PILOT, EASE, MOS, APER, RanPAC, SLCA; s = 1993).
"natural": the dataset's own order (L2P).  "python": random.seed(s); random.shuffle (HiDe-Prompt, NoRGa, LayerNorm
tuning).
"coda": the same with s = trial index, where trial 0 is not shuffled (CODA-Prompt).
"""


def class_order(rule: str, n_classes: int, seed: int) -> IndexArray:
    """Original labels in the order of learning, int64 [n_classes].

    Raises `UsageError` for an unknown rule or a seed outside the range of the papers' generators.
    """
    if rule not in RULES:
        raise UsageError(
            f"Unknown class order {rule!r}; choose one of {', '.join(RULES)}.{did_you_mean(rule, [*RULES])}"
        )
    if not 0 <= seed <= MAX_SEED:
        raise UsageError(f"The order seed must be in 0..{MAX_SEED}, not {seed}.")
    return np.array(RULES[rule](n_classes, seed), dtype=np.int64)
