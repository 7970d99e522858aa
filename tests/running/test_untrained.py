"""Heads before their first training."""

from __future__ import annotations

import pytest
import torch

from cl.running.untrained import can_grow, grown
from cl.strategies.joint import Joint
from cl.strategies.linear_probe import LinearProbe
from cl.strategies.simplecil import SimpleCIL
from tests.conftest import make, tiny_stream


def test_the_grown_head_has_the_weights_that_the_tasks_begin_with(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, learner = tiny_stream(), make(LinearProbe)
    learner.setup(stream.info)
    first = []
    monkeypatch.setattr(learner, "fit", lambda *_, **__: first.append(learner.head.blocks[-1].weight.clone()))
    with grown(learner, stream, learner.trainer.seeds):
        ours = [block.weight.clone() for block in learner.head.blocks]
    assert len(learner.head.blocks) == 0
    for task in range(5):
        learner.trainer.journal.begin(task)
        learner.learn(stream.view(task))
    assert len(ours) == len(first) == 5
    assert all(torch.equal(one, two) for one, two in zip(ours, first, strict=True))


def test_only_methods_whose_scores_are_those_of_the_head_grow_one() -> None:
    learners = [make(method) for method in (LinearProbe, SimpleCIL, Joint)]
    for learner in learners:
        learner.setup(tiny_stream().info)
    assert [can_grow(learner) for learner in learners] == [True, False, False]
