"""Two rows of runs whose predictions differ on a known number of images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cl.results.leaderboard.entries import Run

MakeRun = Callable[..., Run]


def answers(seed: int, lost: int = 0, won: int = 0) -> NDArray[np.bool_]:
    """Sixty per cent right after the last task; so many of the right ones lost, of the wrong ones won."""
    last = np.random.default_rng(seed).permutation(np.arange(300) < 180)
    changed = last.copy()
    changed[np.flatnonzero(last)[:lost]] = False
    changed[np.flatnonzero(~last)[:won]] = True
    return np.stack([np.ones(300, bool), np.ones(300, bool), changed])


def pair(make_run: MakeRun, *, lost: int, won: int, seeds: int = 3) -> tuple[list[Run], list[Run]]:
    first = [make_run(answers(seed), seed=seed, strategy="slca") for seed in range(seeds)]
    second = [make_run(answers(seed, lost, won), seed=seed, strategy="ewc") for seed in range(seeds)]
    return first, second
