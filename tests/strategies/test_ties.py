"""TIES as models arrive: with all vectors, or with the merged one, as in the baseline of OPCM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cl.parts.merging import ties
from cl.plan.plan import make_plan
from cl.strategies.ties import TIES
from cl.training import state
from tests.conftest import tiny_stream
from tests.help.merging import close, merged, task_vectors, times, watched

Learn = Callable[..., list[Any]]


@pytest.mark.parametrize("how", ["sum", "mean", "max"])
def test_all_vectors_are_merged_after_every_task(learn: Learn, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    found = task_vectors(monkeypatch, TIES)
    learner = watched(TIES, keeps="all", keep=0.3, how=how, scale=0.7)
    after = learn(learner, tiny_stream(), 3, lambda s, v: merged(s))
    for number, vector in enumerate(after, 1):
        close(vector, times(0.7, ties(found[:number], 0.3, how)), atol=1e-6)
    one = state.nbytes(learner.merged.get_state())
    head = 4 * learner.head.classes * learner.backbone.dim
    assert learner.stored()["parameters"] == 4 * one + head, "three vectors, the merged one, and the head"


@pytest.mark.parametrize("adds", [True, False])
def test_the_merged_vector_is_merged_with_the_new_one(
    learn: Learn, monkeypatch: pytest.MonkeyPatch, adds: bool
) -> None:
    found = task_vectors(monkeypatch, TIES)
    learner = watched(TIES, adds=adds)
    after = learn(learner, tiny_stream(), 3, lambda s, v: merged(s))
    expected = times(0.5, found[0])
    close(after[0], expected, atol=1e-7)
    for task in (1, 2):
        step = times(0.5, ties([expected, found[task]], 0.2, "sum"))
        expected = {name: adds * expected[name] + change for name, change in step.items()}
        close(after[task], expected, atol=1e-6)
    assert learner.stored()["parameters"] == state.nbytes(learner.merged.get_state()) + 4 * 6 * learner.backbone.dim


def test_presets() -> None:
    options = make_plan("ties", "split-cifar100", "vit_base_patch32_clip_224.openai", preset="all").options
    assert (options.keeps, options.keep, options.how, options.scale) == ("all", 0.2, "mean", 1.0)
