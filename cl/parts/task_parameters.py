"""A few tensors per task, each a separate parameter."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn


class TaskParameters(nn.Module):
    """A few tensors per task, each a separate parameter, so training one task cannot change another.

    `add` appends a task; restoring a state sets the number of tasks. A subclass whose state has another layout converts
    it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sets = cast(list[nn.ParameterList], nn.ModuleList())  # typed by what it holds
        self.place: Tensor
        self.register_buffer("place", torch.empty(0), persistent=False)  # device and dtype while there is no task
        self.eval()

    def __len__(self) -> int:
        return len(self.sets)

    def __getitem__(self, task: int) -> nn.ParameterList:
        return self.sets[task]

    def add(self, *tensors: Tensor) -> None:
        """Append the tensors of a task."""
        copies = [tensor.detach().to(self.place.device, self.place.dtype, copy=True) for tensor in tensors]
        self.sets.append(nn.ParameterList(nn.Parameter(copy, requires_grad=False) for copy in copies))

    def column(self, index: int, tasks: int | None = None) -> list[Tensor]:
        """The tensor at position `index` of each of the first `tasks` tasks (None: all)."""
        return [one[index] for one in list(self.sets)[:tasks]]

    def get_state(self) -> Any:
        """The tensors of each task."""
        return [[tensor.detach() for tensor in one] for one in self.sets]

    @torch.no_grad()
    def set_state(self, state: Any) -> None:
        """Load the tasks of `state`, adding or removing tasks to match."""
        for one, values in zip(self.sets, state, strict=False):
            for tensor, value in zip(one, values, strict=True):
                tensor.copy_(value)
        for values in state[len(self) :]:
            self.add(*values)
        del self.sets[len(state) :]
