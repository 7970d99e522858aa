"""Task arithmetic: the sum of all task vectors, added as they arrive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cl.parts.merging import task_arithmetic
from cl.strategies.task_arithmetic import TaskArithmetic
from tests.conftest import tiny_stream
from tests.help.merging import close, merged, task_vectors, times, watched

Learn = Callable[..., list[Any]]


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_the_merged_vector_is_the_scaled_sum(learn: Learn, monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    found = task_vectors(monkeypatch, TaskArithmetic)
    after = learn(watched(TaskArithmetic, scale=scale), tiny_stream(), 3, lambda s, v: merged(s))
    for number, vector in enumerate(after, 1):
        close(vector, task_arithmetic(found[:number], scale), atol=1e-6)
    close(after[0], times(scale, found[0]), atol=1e-7)


def test_a_scale_of_zero_is_the_pretrained_network(learn: Learn) -> None:
    learner = watched(TaskArithmetic, scale=0.0)
    learn(learner, tiny_stream(), 2)
    assert all(not tensor.any() for tensor in learner.merged.values.values())
