"""Changes of weights while FLOPs are counted."""

from __future__ import annotations

import torch
from torch import Tensor


def test_foreach_operators_are_seen_while_flops_are_counted() -> None:
    """PyTorch leaves version counters alone there; a changed backbone would pass for unchanged."""
    from cl.testing import tiny_backbone
    from cl.training.cost import count_flops

    backbone = tiny_backbone()
    parameters: list[Tensor] = list(backbone.model.parameters())

    def change() -> None:
        with torch.no_grad():
            torch._foreach_mul_(parameters, 1.01)

    count_flops(change)
    assert not backbone.is_pristine and set(backbone.get_state()) == {n for n, _ in backbone.model.named_parameters()}
