"""Parameters of each task."""

from __future__ import annotations

import torch

from cl.parts.task_parameters import TaskParameters


def test_parameters_of_tasks_are_resized_by_their_state_and_stay_the_same_objects() -> None:
    found = TaskParameters()
    found.add(torch.ones(2), torch.zeros(3))
    found.add(torch.ones(2) * 2, torch.zeros(3))
    first = found[0][0]
    state = [[tensor.clone() + 1 for tensor in one] for one in found.get_state()]
    other = TaskParameters()
    other.set_state(state)
    found.set_state(state)
    assert found[0][0] is first and first.tolist() == [2.0, 2.0]
    assert [p.tolist() for p in other.parameters()] == [p.tolist() for p in found.parameters()]
    found.set_state(state[:1])
    assert len(found) == 1 and not any(p.requires_grad for p in found.parameters())
