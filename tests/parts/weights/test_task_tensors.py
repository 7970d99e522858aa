"""Copies of small tensors per task."""

from __future__ import annotations

import torch

from cl.parts.weights.task_tensors import TaskTensors


def test_kept_tensors_are_copies_and_come_back() -> None:
    kept, value = TaskTensors(), torch.zeros(2)
    kept.add({"a": value})
    value += 1
    other = TaskTensors()
    other.set_state(kept.get_state())
    assert torch.equal(other.tasks[0]["a"], torch.zeros(2))
