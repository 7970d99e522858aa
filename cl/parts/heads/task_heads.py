"""A linear head per task, for methods that are given the task of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cl.parts.heads.growing import GrowingHead


class TaskHeads(GrowingHead):
    """A linear head per task, over the classes of that task: one block of columns per task.

    `tasks` are the position labels of each head. Restoring a state sets the number of heads.
    """

    def __init__(self, dim: int, *, bias: bool = True, init: str = "kaiming") -> None:
        super().__init__(dim, bias=bias, init=init)
        self.tasks: list[list[int]] = []

    def __len__(self) -> int:
        return len(self.tasks)

    @property
    def seen(self) -> int:
        """Columns of the scores: one more than the largest label of all tasks."""
        return 1 + max(max(classes) for classes in self.tasks)

    def add(self, classes: Sequence[int], generator: torch.Generator) -> None:
        """Append the head of a task with these position labels."""
        self.grow_to(self.classes + len(classes), generator)
        self.tasks = [*self.tasks, list(classes)]

    def targets(self, classes: int, task: int = -1) -> Tensor:
        """The column of each position label in a task's head, int64 [classes]; 0 for labels of other tasks."""
        column = torch.zeros(classes, dtype=torch.long, device=self.place.device)
        column[self.tasks[task]] = torch.arange(len(self.tasks[task]), device=self.place.device)
        return column

    def scores(self, task: int, features: Tensor) -> Tensor:
        """Logits [B, seen] of features [B, dim] by the head of a task, -inf for classes of other tasks."""
        logits = self.blocks[task](features)
        scores = logits.new_full((len(features), self.seen), float("-inf"))
        scores[:, self.tasks[task]] = logits
        return scores

    def no_opinion(self, count: int) -> Tensor:
        """Zeros [count, seen]: the scores of images of a task without a head."""
        return self.blocks[0].weight.new_zeros(count, self.seen)

    def get_state(self) -> dict[str, list[Any]]:
        """Weights, biases and labels per task."""
        return super().get_state() | {"tasks": self.tasks}

    def set_state(self, state: dict[str, list[Any]]) -> None:
        """Load the heads of `state`, adding or removing heads to match."""
        super().set_state(state)
        self.tasks = [list(classes) for classes in state["tasks"]]
