"""Heads that grow with the classes."""

from __future__ import annotations

import torch

from cl.parts.heads import GrowingHead
from cl.training import state


def test_the_state_of_a_head_with_fewer_blocks_removes_blocks() -> None:
    head = GrowingHead(2)
    head.grow_to(3, torch.Generator().manual_seed(0))
    before = state.clone(head.get_state())
    head.grow_to(6, torch.Generator().manual_seed(1))
    head.set_state(before)
    assert head.widths == [3]


def test_a_new_head_takes_the_blocks_of_a_state() -> None:
    head, other = GrowingHead(2), GrowingHead(2)
    head.grow_to(3, torch.Generator().manual_seed(0))
    head.grow_to(5, torch.Generator().manual_seed(1))
    other.set_state(head.get_state())
    assert other.widths == [3, 2]
    features = torch.randn(4, 2, generator=torch.Generator().manual_seed(2))
    assert torch.equal(other(features), head(features))
