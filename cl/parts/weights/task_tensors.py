"""Copies of a network's small tensors, such as biases and norms, of each task."""

from __future__ import annotations

import torch
from torch import Tensor


class TaskTensors:
    """Copies of a network's small tensors (biases, norms, statistics) after each task, by name."""

    stores = "parameters"

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.tasks: list[dict[str, Tensor]] = []
        self._device = torch.device(device)

    def add(self, tensors: dict[str, Tensor]) -> None:
        """Keep copies of the tensors of a task."""
        self.tasks.append({name: tensor.detach().clone() for name, tensor in tensors.items()})

    def get_state(self) -> list[dict[str, Tensor]]:
        return self.tasks

    def set_state(self, state: list[dict[str, Tensor]]) -> None:
        self.tasks = [{name: tensor.to(self._device) for name, tensor in task.items()} for task in state]
