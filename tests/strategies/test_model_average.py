"""Model averaging: the mean of the networks of all tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cl.parts.merging import average
from cl.strategies.model_average import ModelAverage
from tests.conftest import tiny_stream
from tests.help.merging import close, merged, task_vectors, watched

Learn = Callable[..., list[Any]]


def test_the_merged_vector_is_the_mean_of_all(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    found = task_vectors(monkeypatch, ModelAverage)
    after = learn(watched(ModelAverage), tiny_stream(), 4, lambda s, v: merged(s))
    for number, vector in enumerate(after, 1):
        close(vector, average(found[:number]), atol=1e-6)
    close(after[0], found[0], atol=0)
