"""Keys of tasks."""

from __future__ import annotations

import torch

from cl.parts.attached.keys import TaskKeys


def test_more_tasks_than_dimensions_still_have_keys() -> None:
    keys = TaskKeys(6, 1, 4, torch.Generator().manual_seed(0))
    columns = keys.at(0, 6)
    assert torch.allclose(columns.T @ columns, torch.eye(4), atol=1e-5)
