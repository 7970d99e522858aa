"""A linear head for each task."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cl.parts.heads.task_heads import TaskHeads
from cl.training import state


def heads(*tasks: list[int]) -> TaskHeads:
    made = TaskHeads(4)
    for number, classes in enumerate(tasks):
        made.add(classes, torch.Generator().manual_seed(number))
    return made


def features(count: int = 6) -> Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(9))


def test_a_head_scores_the_classes_of_its_task_in_the_columns_of_their_labels() -> None:
    made = heads([0, 1], [4, 2, 3])
    assert len(made) == 2 and made.seen == 5
    scores = made.scores(1, features())
    assert scores.shape == (6, 5) and torch.isneginf(scores[:, :2]).all()
    assert torch.equal(scores[:, [4, 2, 3]], made.blocks[1](features()))
    assert torch.isneginf(made.scores(0, features())[:, 2:]).all()


def test_targets_are_the_columns_of_the_labels_within_the_head_of_their_task() -> None:
    made = heads([0, 1], [4, 2, 3])
    assert made.targets(5).tolist() == [0, 0, 1, 2, 0], "the newest task; labels of other tasks are 0"
    assert made.targets(5, task=0).tolist() == [0, 1, 0, 0, 0]


def test_a_class_that_returns_has_a_row_in_the_head_of_each_task() -> None:
    made = heads([0, 1], [1, 2])
    assert made.classes == 4 and made.seen == 3
    assert not torch.equal(made.scores(0, features())[:, 1], made.scores(1, features())[:, 1])


def test_a_task_without_a_head_has_no_opinion() -> None:
    assert torch.equal(heads([0, 1], [2]).no_opinion(4), torch.zeros(4, 3))


@pytest.mark.parametrize("bias", [True, False])
def test_a_state_grows_and_cuts_the_heads(bias: bool) -> None:
    made, other = heads([0, 1], [4, 2, 3]), TaskHeads(4, bias=bias)
    if not bias:
        made = TaskHeads(4, bias=False)
        for classes in ([0, 1], [4, 2, 3]):
            made.add(classes, torch.Generator().manual_seed(1))
    first = TaskHeads(4, bias=bias)
    first.add([0, 1], torch.Generator().manual_seed(5))
    kept = state.clone(first.get_state())
    other.set_state(state.clone(made.get_state()))
    assert other.tasks == [[0, 1], [4, 2, 3]]
    assert torch.equal(other.scores(1, features()), made.scores(1, features()))
    other.set_state(kept)
    assert other.tasks == [[0, 1]] and other.classes == 2
    assert torch.equal(other.scores(0, features()), first.scores(0, features()))
