"""The penalty on changes by importance: what it holds, from when on, and by which centres."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cl.bases.importance import Importance
from cl.errors import UsageError
from cl.parts.statistics import Tensors
from cl.strategies.finetune import Finetune
from cl.strategies.l2 import L2
from cl.strategy import View
from tests.conftest import make, tensors, tiny_stream
from tests.help.compare import same

FAST: dict[str, Any] = {"epochs": 1, "batch_size": 16, "lr": 0.05, "augment": "crop-flip", "loss": "global"}


class Ones(Importance):
    """Every parameter weighs 1 after the first task, and 1 more after each further one."""

    def importance(self, view: View, old: Tensors) -> dict[str, Tensor]:
        return {name: torch.ones_like(value) + old.get(name, 0.0) for name, value in self.held().items()}


class One(Importance):
    """Every parameter weighs 1."""

    def importance(self, view: View, old: Tensors) -> dict[str, Tensor]:
        return {name: torch.ones_like(value) for name, value in self.held().items()}


def trained(method: Any, tasks: int = 3, **options: Any) -> Any:
    learner, stream = make(method, **FAST, **options), tiny_stream()
    learner.info = stream.info
    learner.setup(stream.info)
    for task in range(tasks):
        learner.trainer.journal.begin(task)
        learner.learn(stream.view(task))
    return learner


def test_an_importance_of_one_is_l2_from_the_second_task_on() -> None:
    held = trained(One, reg=0.3, hold_head=False)
    assert same((tensors(held)), (tensors(trained(L2, reg=0.3, anchor="learned"))))
    assert not same((tensors(held)), (tensors(trained(One, reg=0.3, hold_head=True))))


def test_without_weight_it_is_finetune() -> None:
    assert same(tensors(trained(One, reg=0.0)), tensors(trained(Finetune)))


def test_one_term_holds_the_sum_and_the_newest_centres() -> None:
    learner = trained(Ones, reg=0.1)
    (term,) = learner.anchors.terms
    assert set(term["centres"]) == set(learner.held())
    blocks = [float(term["weights"][f"head.blocks.{number}.weight"].max()) for number in range(3)]
    assert blocks == [3.0, 2.0, 1.0], "rows of the head weigh since they exist"
    for name, value in learner.held().items():
        assert torch.equal(term["centres"][name], value)
    assert float(learner.penalty()) == 0.0
    learner.head.grow_to(8, torch.Generator())
    with torch.no_grad():
        learner.head.blocks[3].weight.add_(1.0)
    assert float(learner.penalty()) == 0.0, "new rows are free"
    with torch.no_grad():
        learner.head.blocks[0].bias.add_(1.0)
    assert float(learner.penalty()) == pytest.approx(0.1 * 3 * 2)


def test_nothing_to_hold_is_refused() -> None:
    with pytest.raises(UsageError, match="set trains=all or hold_head=true"):
        make(One, trains="head", hold_head=False).setup(tiny_stream().info)
    make(One, trains="head").setup(tiny_stream().info)
