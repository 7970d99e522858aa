"""Seeded splits of rows."""

from __future__ import annotations

import numpy as np

from cl.data.store import IndexArray


def split_rows(rows: IndexArray, fraction: float, seed: int, *key: str | int) -> tuple[IndexArray, IndexArray]:
    """Split rows at random into (a part of about `fraction`, the rest), both ascending.

    With two or more rows, both have at least one; a single row goes to the rest.
    """
    from cl.random import numpy_generator

    size = min(max(round(fraction * len(rows)), 1), len(rows) - 1)
    shuffled = numpy_generator(seed, "split", *key).permutation(rows)
    return np.sort(shuffled[:size]), np.sort(shuffled[size:])
