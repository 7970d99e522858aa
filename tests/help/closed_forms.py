"""Streams of several settings, and the images of a stream as features in float64, for batch solutions in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cl.strategy import Inputs, Strategy
from cl.stream import Stream
from tests.conftest import tiny_stream
from tests.help.online import stream_in

Array = np.ndarray


@cache
def rotated() -> Stream:
    """Two rotations of the ten digits."""
    from cl.streams.domains import RotatedDigits

    family = RotatedDigits()
    chosen = family.Options(tasks=2, train_per_class=4, test_per_class=2)
    return family.build(chosen, order_seed=1993, data_seed=1993)


STREAMS: dict[str, Callable[[], Stream]] = {
    "class-incremental": lambda: tiny_stream(tasks=5, train_per_class=6, test_per_class=2),
    "domain-incremental": rotated,
    "online": lambda: stream_in("online", chunk=7),
    "blurry": lambda: stream_in("si-blurry"),
    "online blurry": lambda: stream_in("online", "i-blurry", chunk=7),
}
"""Settings and a stream of 60 (domains: 80) training images in each."""


def learned(learner: Any, stream: Stream, after: Callable[[Any, Any], Any] | None = None) -> Any:
    """The learner after all experiences of a stream; `after(learner, view)` runs after each."""
    learner.info = stream.info
    learner.setup(stream.info)
    for task in range(len(stream.experiences)):
        learner.trainer.journal.begin(task)
        view = stream.view(task)
        learner.learn(view)
        if after is not None:
            after(learner, view)
        view.revoke()
    return learner


def trained_on(learner: Strategy, stream: Stream) -> tuple[Array, Array]:
    """Features [N, d] and labels [N] of all training images, in the order in which they came."""
    features, labels = [], []
    for task in range(len(stream.experiences)):
        view = stream.view(task)
        features.append(learner.encode(view.train).double().numpy())
        labels.append(view.train.labels.numpy())
    return np.concatenate(features), np.concatenate(labels)


def asked(stream: Stream) -> Inputs:
    """The test images."""
    rows, _, _ = stream.test_rows(range(len(stream.groups)))
    return Inputs(torch.from_numpy(stream.dataset.test.pixels[np.unique(rows)].copy()).permute(0, 3, 1, 2))


def ridge(x: Array, y: Array, penalty: float, weights: Array | None = None) -> Array:
    """The minimiser [d, C] of sum_i w_i |onehot(y_i) - x_i W|^2 + penalty |W|^2."""
    targets, own = np.eye(y.max() + 1)[y], np.ones(len(x)) if weights is None else weights
    found: Array = np.linalg.solve(
        (x * own[:, None]).T @ x + penalty * np.eye(x.shape[1]), (x * own[:, None]).T @ targets
    )
    return found


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
